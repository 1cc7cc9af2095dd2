"""Import of JSON lines: what lands where, twice the same, and lines that are wrong."""

import json
from uuid import UUID

import psycopg
import pytest

from rlhf_assets.feedback.importing import import_lines

FULL = {
    "query": "and for farmers?",
    "response": "They pay less.",
    "context": [
        {"role": "user", "content": "what is a carbon tax?"},
        {"role": "assistant", "content": "a price on carbon"},
    ],
    "feedback": "positive",
    "feedback_score": 4,
    "user_id": "ann@example.org",
    "segment": "farmer",
    "created_at": "2026-03-04T05:06:07+01:00",
    "model_version": "m1",
    "steps": ["think", "answer"],
    "step_feedback": [{"step": 1, "feedback": "negative"}, {"step": 0, "feedback_score": 5}],
}
SHORT = {"query": "why?", "response": "Because.", "feedback": "negative", "feedback_score": None}


def lines(*objects):
    return [json.dumps(one) + "\n" for one in objects]


def rows(admin, columns, kind="message"):
    statement = f"select {columns} from rlhf.feedback where kind = %s order by step_order, feedback_score"  # noqa: S608
    return admin.execute(statement, [kind]).fetchall()


def test_a_full_line_comes_out_of_the_view_as_it_went_in(admin):
    report = import_lines(admin, lines(FULL))
    assert (report.read, report.imported_ratings, report.unchanged, report.problems) == (1, 3, 0, [])
    columns = "query, context, response, feedback, feedback_score, segment, model_version, message_role"
    wanted = (*(FULL[name] for name in columns.split(", ")[:-1]), "assistant")
    assert rows(admin, columns) == [wanted]
    assert rows(admin, "created_at = '2026-03-04T04:06:07Z'") == [(True,)]
    columns = "step_order, response, steps_before, feedback, feedback_score, query"
    assert rows(admin, columns, "step") == [
        (0, "think", [], None, 5, FULL["query"]),
        (1, "answer", ["think"], "negative", None, FULL["query"]),
    ]


def test_a_second_import_changes_nothing(admin):
    tables = ("users", "chats", "messages", "reasoning_steps", "chat_feedback")

    def content():
        return [admin.execute(f"select * from public.{table} order by id").fetchall() for table in tables]  # noqa: S608

    import_lines(admin, lines(FULL, SHORT))
    before = content()
    reordered = json.dumps(dict(reversed(FULL.items())), indent=None, separators=(",", ":"))
    report = import_lines(admin, [reordered, *lines(SHORT)])
    assert (report.imported_ratings, report.unchanged) == (0, 4)
    assert content() == before


def test_raters(admin):
    known = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
    import_lines(
        admin,
        lines(
            SHORT,
            SHORT | {"query": "another line, another person"},
            SHORT | {"user_id": known},
            SHORT | {"user_id": known, "query": "same person"},
            SHORT | {"user_id": "ann"},
            SHORT | {"user_id": "ann", "query": "same name"},
            SHORT | {"user_id": 17},
        ),
    )
    raters = [row[0] for row in admin.execute("select user_id from public.chat_feedback")]
    assert (len(raters), len(set(raters)), raters.count(UUID(known))) == (7, 5, 2)


def test_step_ratings_without_steps_split_the_response(admin):
    answer = {"response": "1. First thing.\n2. Second thing.", "step_feedback": [{"step": 1, "feedback": "positive"}]}
    report = import_lines(admin, lines({"query": "how?", **answer}))
    assert (report.imported_ratings, report.problems) == (1, [])
    assert rows(admin, "vote_id") == []  # nobody rated the answer as a whole
    [(order, text, before)] = rows(admin, "step_order, response, steps_before", "step")
    assert order == 1
    assert "Second thing." in text
    assert "First thing." in before[0]


MALFORMED = [
    ("{not json", "Invalid JSON"),
    ("[1, 2]", "object"),
    (json.dumps({"query": "no answer", "feedback": "positive"}), "response: Field required"),
    (json.dumps(SHORT | {"feedback": "great"}), "feedback: Input should be 'positive' or 'negative'"),
    (json.dumps(SHORT | {"feedback_score": 6}), "feedback_score: Input should be less than or equal to 5"),
    (json.dumps(SHORT | {"feedback_score": 3.5}), "feedback_score: Input should be a valid integer"),
    (json.dumps(SHORT | {"feedback_score": True}), "feedback_score: Input should be a valid integer"),
    (json.dumps(SHORT | {"feedback": None}), "no rating"),
    (json.dumps(SHORT | {"scores": 3}), "scores: Extra inputs are not permitted"),
    (json.dumps(SHORT | {"created_at": "yesterday"}), "created_at: Input should be a valid datetime"),
    (json.dumps(SHORT | {"created_at": "0001-01-01T00:00:00Z"}), "created_at: no rating is of the year 1"),
    (json.dumps(SHORT | {"created_at": "9999-12-31T23:59:59-12:00"}), "created_at: no rating is of the year 9999"),
    (json.dumps(SHORT | {"response": "a\0b"}), "response: String should match"),
    (json.dumps(SHORT | {"response": "a\ud800b"}), "Invalid JSON"),
    (json.dumps(SHORT | {"context": [{"role": "robot", "content": "x"}]}), "context.0.role: Input should be"),
    (json.dumps(FULL | {"step_feedback": [{"step": 2, "feedback": "positive"}]}), "there is no step 2"),
    (json.dumps(FULL | {"step_feedback": [{"step": 1}]}), "no rating of step 1"),
]


def test_a_malformed_line_is_reported_by_number_and_the_others_come_in(admin):
    report = import_lines(admin, [*lines(FULL), "\n", *(f"{bad}\n" for bad, _ in MALFORMED), *lines(SHORT)])
    assert [number for number, _ in report.problems] == list(range(3, 3 + len(MALFORMED)))
    for (_, text), (bad, said) in zip(report.problems, MALFORMED, strict=True):
        assert said in text, bad
        assert "\n" not in text
    assert (report.read, report.imported_ratings) == (len(MALFORMED) + 2, 4)


def test_an_assistant_without_the_optional_columns(admin):
    admin.execute("alter table public.messages drop column model_version")
    admin.execute("alter table public.users drop column segment")
    assert import_lines(admin, lines(SHORT)).imported_ratings == 1


def test_a_row_that_the_database_refuses_costs_its_line_only(admin):
    admin.execute("alter table public.chat_feedback add check (feedback_score is distinct from 2)")
    bad = FULL | {"feedback_score": 2}
    report = import_lines(admin, lines(SHORT, bad, SHORT | {"query": "how?"}))
    [(number, text)] = report.problems
    assert (number, report.read, report.imported_ratings) == (2, 3, 2)
    assert text.startswith("the database refuses the row: new row")
    assert admin.execute("select count(*) from public.chats").fetchone() == (2,)  # nothing of the refused line


def test_a_missing_table_is_no_line_s_fault(admin):
    admin.execute("alter table public.reasoning_steps rename to elsewhere")
    with pytest.raises(psycopg.errors.UndefinedTable):
        import_lines(admin, lines(SHORT, FULL))
    assert admin.execute("select count(*) from public.chats").fetchone() == (0,)
