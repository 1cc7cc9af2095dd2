"""Questions people ask a climate-economy assistant, composed from topics, people, places and forms.

Every slot is filled by a seeded draw; a question too close to an earlier one is drawn again, so that
near-duplicate clustering leaves almost every question in a cluster of its own.
"""

import random

TOPICS = (
    "offshore wind",
    "onshore wind",
    "rooftop solar",
    "community solar",
    "a carbon tax",
    "emissions trading",
    "home insulation",
    "a heat pump",
    "district heating",
    "geothermal energy",
    "green hydrogen",
    "green steel",
    "low-carbon cement",
    "battery storage",
    "battery recycling",
    "an electric truck fleet",
    "electric school buses",
    "public EV charging",
    "e-bike sharing",
    "high-speed rail",
    "sustainable aviation fuel",
    "clean shipping",
    "regenerative farming",
    "agroforestry",
    "soil carbon",
    "reforestation",
    "mangrove restoration",
    "sustainable fishing",
    "food waste reduction",
    "plant-based food",
    "the circular economy",
    "textile recycling",
    "building retrofits",
    "mass timber construction",
    "flood insurance",
    "wildfire insurance",
    "drought planning",
    "coastal protection",
    "urban tree planting",
    "water reuse",
    "green bonds",
    "climate disclosure",
    "a green bank",
    "a border carbon charge",
    "fossil fuel subsidy reform",
    "a just transition fund",
    "a coal plant closure",
    "oil well plugging",
    "critical mineral mining",
    "nuclear power",
    "small hydropower",
    "biogas from manure",
    "carbon capture",
    "direct air capture",
    "voluntary carbon credits",
    "energy audits",
    "smart meters",
    "demand response",
    "a microgrid",
    "transmission lines",
    "a clean energy apprenticeship",
    "climate risk modelling",
    "green procurement",
    "impact investing",
    "methane monitoring",
    "cool roofs",
)
PEOPLE = (
    "coal miners",
    "electricians",
    "welders",
    "small farmers",
    "renters",
    "retirees",
    "students",
    "truck drivers",
    "first-time home buyers",
    "small shop owners",
    "school districts",
    "city councils",
    "fishing families",
    "indigenous communities",
    "single parents",
    "veterans",
    "refugees",
    "plumbers and fitters",
    "software developers",
    "accountants",
    "nurses",
    "hotel owners",
    "oil rig workers",
    "community colleges",
    "landlords",
    "young engineers",
    "housing associations",
    "credit unions",
    "women returning to work",
    "factory workers",
    "taxi drivers",
    "unions",
)
PLACES = (
    "Ohio",
    "Massachusetts",
    "West Virginia",
    "Texas",
    "rural Kenya",
    "Scotland",
    "northern Spain",
    "Bangladesh",
    "coastal Louisiana",
    "Puerto Rico",
    "the Ruhr valley",
    "Poland",
    "Vietnam",
    "southern India",
    "Chile",
    "South Africa",
    "Morocco",
    "Queensland",
    "Alberta",
    "Detroit",
    "Boston",
    "Appalachia",
    "the Philippines",
    "California's Central Valley",
    "upstate New York",
    "Portugal",
    "Iceland",
    "Indonesia",
    "Brazil",
    "Nigeria",
    "the Navajo Nation",
    "Michigan",
    "Cornwall",
    "Denmark",
    "a mountain village",
    "a small port town",
    "Maine",
    "a big old city",
    "a dry farming region",
    "Jamaica",
)
SKILLS = (
    "wiring",
    "bookkeeping",
    "driving a forklift",
    "welding",
    "teaching",
    "data analysis",
    "carpentry",
    "sales",
    "project management",
    "lab work",
    "machine maintenance",
    "nursing",
    "law",
    "plumbing",
    "marketing",
    "surveying",
)
FORMS = (
    "How would {topic} change the cost of living for {people} in {place}?",
    "What jobs could {topic} create for {people} in {place}?",
    "Is {topic} worth paying for if I live in {place}?",
    "How can {people} in {place} earn money from {topic}?",
    "Who pays for {topic} in {place}, and who gains?",
    "What training do {people} need before they work in {topic}?",
    "I am good at {skill}. Could I find work in {topic} in {place}?",
    "Which grants or loans help {people} with {topic}?",
    "What are the biggest risks of {topic} for {people}?",
    "How long until {topic} pays for itself in {place}?",
    "Why do some {people} in {place} oppose {topic}?",
    "What should a mayor in {place} know about {topic} before voting on it?",
    "How does {topic} affect energy bills in {place}?",
    "Can {topic} replace the tax income that {place} gets from fossil fuels?",
    "What first step should {people} take towards {topic}?",
    "Explain {topic} to {people} who have never heard of it.",
    "What wages can I expect in {topic} with experience in {skill}?",
    "How did {topic} turn out for {people} elsewhere, and what can {place} learn?",
    "Should {place} spend public money on {topic} or on schools?",
    "How do I start a small business around {topic} in {place}?",
    "What happens to {people} if {place} does nothing about {topic}?",
    "Which local companies in {place} might hire for {topic}?",
    "How can {people} join forces to afford {topic}?",
    "Does {topic} really cut emissions, or is it just good marketing in {place}?",
    "What permits does {topic} need in {place}?",
    "How would a recession in {place} hit {topic}?",
    "My family in {place} worries about {topic}. What should I tell them?",
    "Which number tells best whether {topic} works for {people}?",
    "How can banks in {place} lend more fairly for {topic}?",
    "What does {topic} mean for house prices in {place}?",
    "Can {people} combine {topic} with {skill} for extra income?",
    "How should {people} in {place} prepare for the jobs {topic} will end?",
)  # fmt: skip
FOLLOW_UPS = (
    "And what would that cost {people}?",
    "How would that look in {place}?",
    "What is the first phone call I should make in {place}?",
    "Does that also help {people} in {place}?",
    "How does {topic} compare with that?",
    "Which of these matters most to {people}?",
)
TOO_CLOSE = 0.5  # Jaccard of word trigrams; far below what dataset clustering calls a near duplicate


def questions(count: int, seed: int = 0, forms: tuple[str, ...] = FORMS) -> list[str]:
    """`count` different questions, in a fixed order for a seed."""
    draw = random.Random(seed)
    kept: list[str] = []
    by_trigram: dict[tuple[str, ...], set[int]] = {}
    trigrams_of: list[set[tuple[str, ...]]] = []
    while len(kept) < count:
        question = draw.choice(forms).format(
            topic=draw.choice(TOPICS), people=draw.choice(PEOPLE), place=draw.choice(PLACES), skill=draw.choice(SKILLS)
        )
        words = question.lower().split()
        trigrams = {tuple(words[i : i + 3]) for i in range(len(words) - 2)}
        rivals = set().union(*(by_trigram.get(t, set()) for t in trigrams))
        if any(len(trigrams & trigrams_of[r]) > TOO_CLOSE * len(trigrams | trigrams_of[r]) for r in rivals):
            continue
        for trigram in trigrams:
            by_trigram.setdefault(trigram, set()).add(len(kept))
        kept.append(question)
        trigrams_of.append(trigrams)
    return kept


def follow_ups(count: int, seed: int = 1) -> list[str]:
    """`count` second questions of a chat; they may repeat, as people's do."""
    draw = random.Random(seed)
    return [
        draw.choice(FOLLOW_UPS).format(topic=draw.choice(TOPICS), people=draw.choice(PEOPLE), place=draw.choice(PLACES))
        for _ in range(count)
    ]
