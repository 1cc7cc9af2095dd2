-- The assistant's reasoning, a row a step, so that people can rate each.

create table if not exists public.reasoning_steps (
    id uuid primary key default gen_random_uuid(),
    chat_id uuid references public.chats (id),
    step_content text not null,
    step_order integer not null,
    created_at timestamptz default now()
);

-- timezone('utc', now()), as some databases have it from an earlier script, is off by the session's own offset.
alter table public.reasoning_steps alter column created_at set default now();

-- Two answers in one chat both have a step 0: the message tells them apart. An assistant that does not fill it in
-- still works, so it is nullable; deleting a message must stay possible, so its steps lose it.
alter table public.reasoning_steps
    add column if not exists message_id uuid references public.messages (id) on delete set null;

create index if not exists reasoning_steps_chat_order on public.reasoning_steps (chat_id, step_order);
create index if not exists reasoning_steps_message_order on public.reasoning_steps (message_id, step_order);

alter table public.reasoning_steps enable row level security;

do $$
begin
    drop policy if exists "Allow authenticated users to select their reasoning steps" on public.reasoning_steps;
    create policy "Allow authenticated users to select their reasoning steps" on public.reasoning_steps
        for select to authenticated
        using (exists (
            select from public.chats where chats.id = reasoning_steps.chat_id and chats.user_id = auth.uid()
        ));

    -- Only into one's own chats, and only to a message of that chat.
    drop policy if exists "Allow authenticated users to create reasoning steps" on public.reasoning_steps;
    create policy "Allow authenticated users to create reasoning steps" on public.reasoning_steps
        for insert to authenticated
        with check (
            exists (select from public.chats where chats.id = reasoning_steps.chat_id and chats.user_id = auth.uid())
            and (message_id is null or exists (
                select from public.messages
                where messages.id = reasoning_steps.message_id and messages.chat_id = reasoning_steps.chat_id
            ))
        );

    drop policy if exists "Allow service role full access to reasoning steps" on public.reasoning_steps;
    create policy "Allow service role full access to reasoning steps" on public.reasoning_steps
        for all to service_role using (true) with check (true);
end
$$;

-- Row-level security does not hold back TRUNCATE, which Supabase grants with everything else.
revoke all on public.reasoning_steps from anon, authenticated;
grant select, insert on public.reasoning_steps to authenticated;
grant all on public.reasoning_steps to service_role;
