-- What a Supabase project with the assistant already has, for a PostgreSQL of our own: the roles anon, authenticated
-- and service_role with Supabase's grants, auth.uid(), and the assistant's tables. `rlhf up` and `rlhf migrate` apply it
-- to the embedded server only. On another plain PostgreSQL, once, before the migrations:
--
--     psql "$SUPABASE_ADMIN_DB_URL" -v ON_ERROR_STOP=1 -f migrations/local/baseline.sql
--
-- One block, so that the guard at its top stops all of it however the file is run. Idempotent.

do $baseline$
begin
    if exists (select from pg_roles where rolname in ('supabase_admin', 'supabase_auth_admin')) then
        raise exception 'this is a Supabase, which has its own roles and tables; apply only the numbered migrations';
    end if;

    -- Roles belong to the whole server; another database on it may have made them.
    if to_regrole('anon') is null then
        create role anon nologin;
    end if;
    if to_regrole('authenticated') is null then
        create role authenticated nologin;
    end if;
    if to_regrole('service_role') is null then
        create role service_role nologin bypassrls;
    end if;

    -- Supabase's grants: everything that will be made in public. Only row-level security stands between people.
    grant usage on schema public to anon, authenticated, service_role;
    alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
    alter default privileges in schema public grant all on routines to anon, authenticated, service_role;
    alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;

    create schema if not exists auth;
    grant usage on schema auth to anon, authenticated, service_role;
    create or replace function auth.uid() returns uuid language sql stable as $function$
        select coalesce(
            nullif(current_setting('request.jwt.claim.sub', true), ''),
            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
        )::uuid
    $function$;

    create table if not exists public.users (
        id uuid primary key default gen_random_uuid(),
        email text,
        role text not null default 'user',
        segment text,
        created_at timestamptz default now()
    );
    create table if not exists public.chats (
        id uuid primary key default gen_random_uuid(),
        user_id uuid references public.users (id),
        query text,
        system_prompt text,
        created_at timestamptz default now()
    );
    create table if not exists public.messages (
        id uuid primary key default gen_random_uuid(),
        chat_id uuid references public.chats (id),
        role text,
        content text,
        model_version text,
        created_at timestamptz default now()
    );
    create table if not exists public.chat_feedback (
        id uuid primary key default gen_random_uuid(),
        user_id uuid,
        chat_id uuid,
        message_id uuid references public.messages (id),
        feedback text,
        created_at timestamptz default now()
    );

    -- Own rows only. Nobody may change a row of users: its role column makes admins.
    alter table public.users enable row level security;
    alter table public.chats enable row level security;
    alter table public.messages enable row level security;
    alter table public.chat_feedback enable row level security;

    drop policy if exists "People see themselves" on public.users;
    create policy "People see themselves" on public.users
        for select to authenticated using (id = auth.uid());

    drop policy if exists "People keep their own chats" on public.chats;
    create policy "People keep their own chats" on public.chats
        for all to authenticated using (user_id = auth.uid()) with check (user_id = auth.uid());

    drop policy if exists "People see messages of their own chats" on public.messages;
    create policy "People see messages of their own chats" on public.messages
        for select to authenticated
        using (exists (select from public.chats where chats.id = messages.chat_id and chats.user_id = auth.uid()));

    drop policy if exists "People write messages in their own chats" on public.messages;
    create policy "People write messages in their own chats" on public.messages
        for insert to authenticated
        with check (exists (select from public.chats where chats.id = messages.chat_id and chats.user_id = auth.uid()));

    drop policy if exists "People keep their own feedback" on public.chat_feedback;
    create policy "People keep their own feedback" on public.chat_feedback
        for all to authenticated using (user_id = auth.uid()) with check (user_id = auth.uid());
end
$baseline$;
