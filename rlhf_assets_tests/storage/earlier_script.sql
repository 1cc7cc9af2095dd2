-- Migration script for RLHF tables
BEGIN;

-- Check if reasoning_steps table exists
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_tables WHERE tablename = 'reasoning_steps') THEN
        CREATE TABLE public.reasoning_steps (
            id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
            chat_id UUID REFERENCES public.chats(id),
            step_content TEXT NOT NULL,
            step_order INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE DEFAULT timezone('utc'::text, now())
        );
        
        -- Add RLS policies
        ALTER TABLE public.reasoning_steps ENABLE ROW LEVEL SECURITY;
        
        -- Allow authenticated users to select and insert
        CREATE POLICY "Allow authenticated users to select their reasoning steps" 
        ON public.reasoning_steps 
        FOR SELECT 
        TO authenticated 
        USING (EXISTS (
            SELECT 1 FROM public.chats 
            WHERE chats.id = reasoning_steps.chat_id AND chats.user_id = auth.uid()
        ));
        
        CREATE POLICY "Allow authenticated users to create reasoning steps" 
        ON public.reasoning_steps 
        FOR INSERT 
        TO authenticated 
        WITH CHECK (true);
        
        -- Allow service role full access
        CREATE POLICY "Allow service role full access to reasoning steps" 
        ON public.reasoning_steps 
        FOR ALL 
        TO service_role 
        USING (true) 
        WITH CHECK (true);
    END IF;
END $$;

-- Add columns to chat_feedback table if they don't exist
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'chat_feedback' AND column_name = 'step_id') THEN
        ALTER TABLE public.chat_feedback ADD COLUMN step_id UUID REFERENCES public.reasoning_steps(id);
    END IF;
    
    IF NOT EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'chat_feedback' AND column_name = 'feedback_score') THEN
        ALTER TABLE public.chat_feedback ADD COLUMN feedback_score INTEGER CHECK (feedback_score >= 1 AND feedback_score <= 5);
    END IF;
    
    IF NOT EXISTS (SELECT FROM information_schema.columns WHERE table_name = 'chat_feedback' AND column_name = 'feedback_type') THEN
        ALTER TABLE public.chat_feedback ADD COLUMN feedback_type VARCHAR(50);
    END IF;
END $$;

-- Create RLHF training runs table
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_tables WHERE tablename = 'rlhf_training_runs') THEN
        CREATE TABLE public.rlhf_training_runs (
            id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
            model_type VARCHAR(50) NOT NULL,
            training_status VARCHAR(50) NOT NULL,
            start_time TIMESTAMP WITH TIME ZONE DEFAULT timezone('utc'::text, now()),
            end_time TIMESTAMP WITH TIME ZONE,
            metrics JSONB,
            model_path TEXT,
            created_at TIMESTAMP WITH TIME ZONE DEFAULT timezone('utc'::text, now())
        );
        
        -- Add RLS policies
        ALTER TABLE public.rlhf_training_runs ENABLE ROW LEVEL SECURITY;
        
        -- Allow service role full access
        CREATE POLICY "Allow service role full access to rlhf_training_runs" 
        ON public.rlhf_training_runs 
        FOR ALL 
        TO service_role 
        USING (true) 
        WITH CHECK (true);
        
        -- Allow authenticated admins to view
        CREATE POLICY "Allow admins to select rlhf_training_runs" 
        ON public.rlhf_training_runs 
        FOR SELECT 
        TO authenticated 
        USING (EXISTS (
            SELECT 1 FROM public.users 
            WHERE users.id = auth.uid() AND users.role = 'admin'
        ));
    END IF;
END $$;

COMMIT;
