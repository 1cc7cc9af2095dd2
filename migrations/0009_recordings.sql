-- A receipt for each time that rlhf_training_runs was written. The recorder remembers the newest one: where that is
-- gone, an older backup was restored, and it writes everything again.
--
-- As of rlhf.forgotten, the closed schema and the missing grants keep others out.

create table if not exists rlhf.recordings (
    number bigint generated always as identity primary key,
    receipt uuid not null default gen_random_uuid(),
    written_at timestamptz not null default now()
);
revoke all on rlhf.recordings from public, anon, authenticated, rlhf_pipeline;
grant select, insert on rlhf.recordings to rlhf_pipeline;

-- so that there is always one to remember
insert into rlhf.recordings (written_at) select now() where not exists (select from rlhf.recordings);
