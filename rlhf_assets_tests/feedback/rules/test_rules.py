"""What a rule change shows in."""

from dataclasses import replace

from rlhf_assets.feedback.rules import RULES, fingerprint


def test_names_and_reasons_are_one_rules_own() -> None:
    assert len({rule.name for rule in RULES}) == len({rule.reason for rule in RULES}) == len(RULES)


def test_the_fingerprint_changes_with_each_change_of_the_rules() -> None:
    first, second, *rest = RULES
    changed = [
        RULES,
        (replace(first, version=first.version + 1), second, *rest),
        (replace(first, name="another name"), second, *rest),
        (second, first, *rest),
        (second, *rest),
        (*RULES, replace(first, name="one more")),
    ]
    assert len({fingerprint(rules) for rules in changed}) == len(changed)
    assert fingerprint() == fingerprint(RULES) == fingerprint(tuple(RULES))
