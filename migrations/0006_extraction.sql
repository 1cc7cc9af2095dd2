-- When a vote was last changed, whether its rater consents to training, and the people who asked to be forgotten.
--
-- In a view of its own: columns added to rlhf.feedback could not be taken from it again, so that 0005_feedback_view.sql
-- would no longer run a second time, and what somebody edited there would be lost here.
--
-- updated_at  chat_feedback's own
-- consent     users.consent where it says no, which a person may say later; else chat_feedback.consent, else users.consent
--
-- Both are read by name out of the row's JSON: null where there is no such column.

-- A moment as somebody wrote it down, in UTC where it names no zone; null for what is none, since one such text must not
-- cost a whole week. Functions in a view run with the reader's rights, hence the grant.
create or replace function rlhf.moment(written text) returns timestamptz
language plpgsql stable strict set timezone = 'UTC' as $$
begin
    return written::timestamptz;
exception when data_exception then
    return null;
end
$$;
revoke all on function rlhf.moment from public;
grant execute on function rlhf.moment to rlhf_pipeline;

create or replace view rlhf.vote_details as
select
    vote.id as vote_id,
    rlhf.moment(to_jsonb(vote) ->> 'updated_at') as updated_at,
    case
        when lower(trim(to_jsonb(rater) ->> 'consent')) in ('false', 'f', 'no', 'n', '0') then to_jsonb(rater) ->> 'consent'
        else coalesce(to_jsonb(vote) ->> 'consent', to_jsonb(rater) ->> 'consent')
    end as consent
from public.chat_feedback as vote
left join public.users as rater on rater.id = vote.user_id;

revoke all on rlhf.vote_details from public, anon, authenticated;
grant select on rlhf.vote_details to rlhf_pipeline;

-- Whose votes no extraction may read again; written by `rlhf forget`, as the owner, with the ids and hashes by which what
-- was made of them is known, and the models that learned from it. The closed schema and the missing
-- grants keep others out, not row-level security: with it, a role that no policy names would see an empty list, and
-- everybody on it would be back; without a grant it is refused.
create table if not exists rlhf.forgotten (
    user_id text primary key,
    forgotten_at timestamptz not null default now(),
    votes text[] not null default '{}',
    prompts text[] not null default '{}',
    models text[] not null default '{}'
);
revoke all on rlhf.forgotten from public, anon, authenticated, rlhf_pipeline;
grant select on rlhf.forgotten to rlhf_pipeline;
