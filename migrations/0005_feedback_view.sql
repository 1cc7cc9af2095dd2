-- Every vote with the conversation it was given in. The only place that knows the assistant's schema: where yours
-- differs, edit the view here before the first `rlhf migrate`, and in a new file with the next number afterwards.
--
-- It runs with its owner's rights, so rlhf_pipeline reads it without rights on the tables. Columns that an assistant
-- may lack (users.segment, chats.system_prompt, messages.model_version) are read by name out of the row's JSON: null
-- where there is no such column.
--
-- query    the newest user turn before the answer; chats.query where there is none
-- context  the turns before that one, oldest first; none without a user turn, for then the query opened the chat
-- steps_before  the earlier steps of the same answer
--
-- A step without a message is dated by its own created_at, and of each earlier order the newest step up to then belongs
-- to it: two answers of one chat may both have a step 0. Turns written in one transaction have one created_at: then
-- the user's stands before the assistant's.

create or replace view rlhf.feedback as
select
    vote.id as vote_id,
    vote.created_at,
    vote.user_id,
    to_jsonb(rater) ->> 'segment' as segment,
    case when vote.step_id is null then 'message' else 'step' end as kind,
    coalesce(message.chat_id, step.chat_id, vote.chat_id) as chat_id,
    message.id as message_id,
    vote.step_id,
    message.role::text as message_role,
    coalesce(asked.content, chat.query)::text as query,
    coalesce(earlier.turns, '[]'::jsonb) as context,
    to_jsonb(chat) ->> 'system_prompt' as system_prompt,
    case when vote.step_id is null then message.content else step.step_content end::text as response,
    coalesce(before.steps, '[]'::jsonb) as steps_before,
    step.step_order::integer as step_order,
    vote.feedback::text as feedback,
    vote.feedback_score::integer as feedback_score,
    to_jsonb(message) ->> 'model_version' as model_version,
    message.created_at as message_created_at
from public.chat_feedback as vote
left join public.reasoning_steps as step on step.id = vote.step_id
left join public.messages as message
    on message.id = case when vote.step_id is null then vote.message_id else coalesce(step.message_id, vote.message_id) end
    and (vote.step_id is null or message.chat_id = coalesce(step.chat_id, message.chat_id))
left join public.chats as chat on chat.id = coalesce(message.chat_id, step.chat_id, vote.chat_id)
left join public.users as rater on rater.id = vote.user_id
left join lateral (
    select turn.id, turn.created_at, turn.content
    from public.messages as turn
    where turn.chat_id = chat.id
        and turn.role = 'user'
        and turn.id is distinct from message.id
        and turn.created_at <= coalesce(message.created_at, step.created_at)
        -- a rated user turn of the same moment is not its own question's successor
        and (turn.created_at < message.created_at or message.role is distinct from 'user')
    order by turn.created_at desc, turn.id desc
    limit 1
) as asked on true
left join lateral (
    select jsonb_agg(
        jsonb_build_object('role', turn.role, 'content', turn.content)
        order by turn.created_at, turn.role = 'assistant', turn.id
    ) as turns
    from public.messages as turn
    where turn.chat_id = chat.id
        and turn.content is not null
        and turn.id <> asked.id
        and turn.created_at <= asked.created_at
        and (turn.created_at < asked.created_at or turn.role is distinct from 'assistant')
) as earlier on true
left join lateral (
    select jsonb_agg(one.step_content order by one.step_order) as steps
    from (
        select distinct on (other.step_order) other.step_order, other.step_content
        from public.reasoning_steps as other
        where other.chat_id = step.chat_id
            and other.message_id is not distinct from step.message_id
            and other.step_order < step.step_order
            and (step.message_id is not null or other.created_at <= step.created_at)
        order by other.step_order, other.created_at desc, other.id
    ) as one
) as before on true;

revoke all on rlhf.feedback from public, anon, authenticated;
grant select on rlhf.feedback to rlhf_pipeline;
