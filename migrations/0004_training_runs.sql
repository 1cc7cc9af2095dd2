-- One row for each model that was trained; written by the pipeline, seen by admins.

create table if not exists public.rlhf_training_runs (
    id uuid primary key default gen_random_uuid(),
    model_type varchar(50) not null,
    training_status varchar(50) not null,
    start_time timestamptz default now(),
    end_time timestamptz,
    metrics jsonb,
    model_path text,
    created_at timestamptz default now()
);

-- timezone('utc', now()), as some databases have it from an earlier script, is off by the session's own offset.
alter table public.rlhf_training_runs
    alter column start_time set default now(),
    alter column created_at set default now();

alter table public.rlhf_training_runs enable row level security;

do $$
begin
    drop policy if exists "Allow service role full access to rlhf_training_runs" on public.rlhf_training_runs;
    create policy "Allow service role full access to rlhf_training_runs" on public.rlhf_training_runs
        for all to service_role using (true) with check (true);

    drop policy if exists "Allow admins to select rlhf_training_runs" on public.rlhf_training_runs;
    create policy "Allow admins to select rlhf_training_runs" on public.rlhf_training_runs
        for select to authenticated
        using (exists (select from public.users where users.id = auth.uid() and users.role = 'admin'));

    drop policy if exists "The pipeline reads training runs" on public.rlhf_training_runs;
    create policy "The pipeline reads training runs" on public.rlhf_training_runs
        for select to rlhf_pipeline using (true);

    drop policy if exists "The pipeline adds training runs" on public.rlhf_training_runs;
    create policy "The pipeline adds training runs" on public.rlhf_training_runs
        for insert to rlhf_pipeline with check (true);

    drop policy if exists "The pipeline updates training runs" on public.rlhf_training_runs;
    create policy "The pipeline updates training runs" on public.rlhf_training_runs
        for update to rlhf_pipeline using (true) with check (true);
end
$$;

-- Row-level security does not hold back TRUNCATE, which Supabase grants with everything else.
revoke all on public.rlhf_training_runs from anon, authenticated;
grant select on public.rlhf_training_runs to authenticated;
grant select, insert, update on public.rlhf_training_runs to rlhf_pipeline;
grant all on public.rlhf_training_runs to service_role;
