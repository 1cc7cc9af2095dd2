-- Checks what the later files build on, then makes schema rlhf and the role of the pipeline.
--
-- `rlhf migrate` applies these files in order and records them in rlhf.migrations. Each also works by itself, again and
-- again, with the database's own Postgres URL (Supabase: dashboard > Connect; SUPABASE_URL is a web address, not one):
--
--     psql "$SUPABASE_ADMIN_DB_URL" -v ON_ERROR_STOP=1 --single-transaction -f migrations/0001_schema_and_role.sql

do $$
declare
    lacking text;
begin
    select string_agg(wanted.name, ', ') into lacking
    from (values
        ('users', 'id'), ('users', 'role'),
        ('chats', 'id'), ('chats', 'user_id'), ('chats', 'query'),
        ('messages', 'id'), ('messages', 'chat_id'), ('messages', 'role'), ('messages', 'content'),
        ('messages', 'created_at'),
        ('chat_feedback', 'id'), ('chat_feedback', 'user_id'), ('chat_feedback', 'chat_id'),
        ('chat_feedback', 'message_id'), ('chat_feedback', 'feedback'), ('chat_feedback', 'created_at')
    ) as needed (relation, attribute)
    cross join lateral (select format('public.%s.%s', relation, attribute)) as wanted (name)
    where not exists (
        select from pg_attribute
        where attrelid = to_regclass('public.' || relation) and attname = attribute and not attisdropped
    );
    if lacking is not null then
        raise exception 'the assistant''s own tables lack %; is this the assistant''s database? '
            '(a plain PostgreSQL gets them from migrations/local/baseline.sql)', lacking;
    end if;
    if to_regprocedure('auth.uid()') is null or to_regrole('anon') is null or to_regrole('authenticated') is null
        or to_regrole('service_role') is null then
        raise exception 'auth.uid() or a role of anon, authenticated, service_role is missing, which a Supabase has; '
            'a plain PostgreSQL gets them from migrations/local/baseline.sql';
    end if;
end
$$;

-- Our own bookkeeping and the view on feedback: not in public, which Supabase serves to the web.
create schema if not exists rlhf;
revoke all on schema rlhf from public, anon, authenticated;

-- The pipeline's role: it reads rlhf.feedback and writes public.rlhf_training_runs, nothing else. It has no password
-- yet, so nobody can log in over the network before its owner runs: alter role rlhf_pipeline password '...'
do $$
begin
    if to_regrole('rlhf_pipeline') is null then
        create role rlhf_pipeline login;
    end if;
end
$$;
grant usage on schema rlhf to rlhf_pipeline;
