-- How much the assistant was used, week by week, as numbers: silence is information too, and rlhf.feedback holds votes
-- only. No text, no ids, no row of a single person's own. Beside rlhf.feedback the only place that knows the
-- assistant's schema; adapt it in the same way.
--
-- week     the Sunday, UTC, on which it begins
-- cut      what `name` is one of: 'all' (name is null), 'segment', 'model_version', or 'opinion': what people said of
--          the conversation in that week on average: good, bad, neither, or unrated. Distinct counts do not add up over
--          names, so each cut has its own.
-- messages, rated   answers of the assistant in the week; those that got a vote, whole or on a step, in the same week
-- chats    conversations that these answers stand in
-- users    people who were answered; returned: those of them who wrote again in the seven days after the week
--
-- It runs with its owner's rights, so rlhf_pipeline reads it without rights on the tables. Columns that an assistant may
-- lack are read by name out of the row's JSON, as in rlhf.feedback. Weeks are a series of 168 hours, since seven days
-- are not that where clocks change, and `where week = ...` leaves one of them, so that only its messages are read.

-- On a table of many millions of rows make this one beforehand with `create index concurrently`.
create index if not exists messages_created_at on public.messages (created_at);

create or replace view rlhf.activity as
select
    (sunday.midnight at time zone 'UTC')::date as week,
    cut.*
from generate_series(timestamptz '2000-01-02 00:00+00', now(), interval '168 hours') as sunday (midnight)
cross join lateral (
    with opinion as (
        select
            coalesce(step.message_id, vote.message_id) as message_id,
            avg(coalesce(
                sign(vote.feedback_score - 3),
                case lower(trim(vote.feedback::text)) when 'positive' then 1 when 'negative' then -1 end
            )) as mean
        from public.chat_feedback as vote
        left join public.reasoning_steps as step on step.id = vote.step_id
        where vote.created_at >= sunday.midnight
            and vote.created_at < sunday.midnight + interval '168 hours'
            and (vote.feedback_score is not null or trim(vote.feedback::text) <> '')
        group by 1
    ),
    served as (
        select
            chat.id as chat_id,
            chat.user_id,
            to_jsonb(asker) ->> 'segment' as segment,
            to_jsonb(message) ->> 'model_version' as model_version,
            count(*) as messages,
            count(opinion.message_id) as rated,
            avg(opinion.mean) as mean
        from public.messages as message
        left join public.chats as chat on chat.id = message.chat_id
        left join public.users as asker on asker.id = chat.user_id
        left join opinion on opinion.message_id = message.id
        where message.role = 'assistant'
            and message.created_at >= sunday.midnight
            and message.created_at < sunday.midnight + interval '168 hours'
        group by 1, 2, 3, 4
    ),
    judged as (
        select
            served.*,
            case
                when rated = 0 then 'unrated'
                when mean > 0 then 'good'
                when mean < 0 then 'bad'
                else 'neither'
            end as opinion
        from served
    ),
    back as (
        select distinct chat.user_id
        from public.messages as message
        join public.chats as chat on chat.id = message.chat_id
        where message.role = 'user'
            and message.created_at >= sunday.midnight + interval '168 hours'
            and message.created_at < sunday.midnight + interval '336 hours'
    )
    select
        case grouping(judged.segment, judged.model_version, judged.opinion)
            when 7 then 'all' when 3 then 'segment' when 5 then 'model_version' else 'opinion'
        end as cut,
        coalesce(judged.segment, judged.model_version, judged.opinion) as name,
        coalesce(sum(judged.messages), 0)::bigint as messages,
        coalesce(sum(judged.rated), 0)::bigint as rated,
        count(distinct judged.chat_id) as chats,
        count(distinct judged.user_id) as users,
        count(distinct back.user_id) as returned
    from judged
    left join back on back.user_id = judged.user_id
    group by grouping sets ((), (judged.segment), (judged.model_version), (judged.opinion))
) as cut;

revoke all on rlhf.activity from public, anon, authenticated;
grant select on rlhf.activity to rlhf_pipeline;
