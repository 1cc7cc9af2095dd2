-- How much of what the assistant said in a week was rated, by what that may hang on: reward models can count votes from
-- where people seldom rate for more. Numbers alone, without texts or ids. Beside rlhf.feedback and rlhf.activity the
-- only place that knows the assistant's schema; adapt it in the same way.
--
-- week       the Sunday, UTC, on which it begins
-- kind       'message' (an answer of the assistant) or 'step' (of its reasoning)
-- segment    of the person who was answered
-- doublings  how long the text is: it has from 2^doublings to below 2^(doublings + 1) characters
-- served, rated   such texts of the week; those that got a vote of their own, with a rating, in the same week
--
-- It runs with its owner's rights, so rlhf_pipeline reads it without rights on the tables. Columns that an assistant may
-- lack are read by name out of the row's JSON, and weeks are a series of 168 hours, both as in rlhf.activity.

-- On a table of many millions of rows make this one beforehand with `create index concurrently`.
create index if not exists reasoning_steps_created_at on public.reasoning_steps (created_at);

create or replace view rlhf.coverage as
select
    (sunday.midnight at time zone 'UTC')::date as week,
    cell.*
from generate_series(timestamptz '2000-01-02 00:00+00', now(), interval '168 hours') as sunday (midnight)
cross join lateral (
    with vote as (
        select
            case when given.step_id is null then 'message' else 'step' end as kind,
            coalesce(given.step_id, given.message_id) as id
        from public.chat_feedback as given
        where given.created_at >= sunday.midnight
            and given.created_at < sunday.midnight + interval '168 hours'
            and (given.feedback_score is not null or trim(given.feedback::text) <> '')
        group by 1, 2
    ),
    said as (
        select 'message' as kind, message.id, message.chat_id, message.content::text as content
        from public.messages as message
        where message.role = 'assistant'
            and message.created_at >= sunday.midnight
            and message.created_at < sunday.midnight + interval '168 hours'
        union all
        select 'step', step.id, step.chat_id, step.step_content
        from public.reasoning_steps as step
        where step.created_at >= sunday.midnight
            and step.created_at < sunday.midnight + interval '168 hours'
    )
    select
        said.kind,
        to_jsonb(asker) ->> 'segment' as segment,
        -- the place of the length's highest bit: a logarithm would be off by one at some powers of two
        32 - position('1' in greatest(length(said.content), 1)::bit(32)::text) as doublings,
        count(*) as served,
        count(vote.id) as rated
    from said
    left join vote on vote.kind = said.kind and vote.id = said.id
    left join public.chats as chat on chat.id = said.chat_id
    left join public.users as asker on asker.id = chat.user_id
    group by 1, 2, 3
) as cell;

revoke all on rlhf.coverage from public, anon, authenticated;
grant select on rlhf.coverage to rlhf_pipeline;
