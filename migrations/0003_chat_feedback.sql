-- Ratings of single steps and on a scale, and a lock: people rate only what was said in their own chats.

alter table public.chat_feedback
    add column if not exists step_id uuid references public.reasoning_steps (id),
    add column if not exists feedback_score integer,
    add column if not exists feedback_type varchar(50);

do $$
begin
    if not exists (
        select from pg_constraint
        where conrelid = 'public.chat_feedback'::regclass and conname = 'chat_feedback_feedback_score_check'
    ) then
        alter table public.chat_feedback add constraint chat_feedback_feedback_score_check
            check (feedback_score >= 1 and feedback_score <= 5) not valid;
    end if;
    -- It holds for every row to come in any case; older scores outside the scale are the cleaning's business.
    if not exists (select from public.chat_feedback where feedback_score < 1 or feedback_score > 5) then
        alter table public.chat_feedback validate constraint chat_feedback_feedback_score_check;
    end if;
end
$$;

-- A week of votes is read by date, a step's own votes by step. On a table of many millions of rows make these two
-- beforehand with `create index concurrently`, which does not block writers.
create index if not exists chat_feedback_created_at on public.chat_feedback (created_at);
create index if not exists chat_feedback_step on public.chat_feedback (step_id);
create index if not exists messages_chat_created_at on public.messages (chat_id, created_at);

-- Whether every given target lies in a chat of the caller, and at least one is given. It runs with its owner's rights,
-- so that the assistant's own policies cannot change the answer; policies may call it although its schema is closed.
create or replace function rlhf.targets_are_own(chat uuid, message uuid, step uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select num_nonnulls(chat, message, step) > 0
        and (chat is null or exists (
            select from public.chats c where c.id = chat and c.user_id = auth.uid()
        ))
        and (message is null or exists (
            select from public.messages m join public.chats c on c.id = m.chat_id
            where m.id = message and c.user_id = auth.uid()
        ))
        and (step is null or exists (
            select from public.reasoning_steps s join public.chats c on c.id = s.chat_id
            where s.id = step and c.user_id = auth.uid()
        ))
$$;
revoke all on function rlhf.targets_are_own from public;
grant execute on function rlhf.targets_are_own to anon, authenticated;

-- The two policies below are restrictive: they hold whatever the assistant's own policies allow, and allow nothing by
-- themselves. A table that had no row-level security also gets what its people need of it then.
do $$
begin
    if not (select relrowsecurity from pg_class where oid = 'public.chat_feedback'::regclass) then
        alter table public.chat_feedback enable row level security;
        create policy "People keep their own feedback" on public.chat_feedback
            for all to authenticated using (user_id = auth.uid()) with check (user_id = auth.uid());
    end if;

    drop policy if exists "People rate only in their own chats" on public.chat_feedback;
    create policy "People rate only in their own chats" on public.chat_feedback
        as restrictive for insert to anon, authenticated
        with check (user_id = auth.uid() and rlhf.targets_are_own(chat_id, message_id, step_id));

    drop policy if exists "People change only their own ratings" on public.chat_feedback;
    create policy "People change only their own ratings" on public.chat_feedback
        as restrictive for update to anon, authenticated
        using (user_id = auth.uid())
        with check (user_id = auth.uid() and rlhf.targets_are_own(chat_id, message_id, step_id));
end
$$;
