-- One row a prompt of which its last run sent nothing, or not all: a budget refused it, or the run
-- was stopped. It failed at nothing and is charged nothing; what was sent and failed is in failures.
SELECT
    prompt_endings.kind,
    prompts.collection,
    prompt_endings.prompt_id,
    prompt_endings.how,
    prompt_endings.ended_at,
    prompt_endings.run_id
FROM prompt_endings
LEFT JOIN prompts USING (kind, prompt_id)
WHERE prompt_endings.how IN ('refused', 'cancelled')
    AND NOT EXISTS (
        SELECT 1
        FROM clips
        WHERE clips.kind = prompt_endings.kind
            AND clips.prompt_id = prompt_endings.prompt_id
            AND clips.created_at >= prompt_endings.ended_at
    )
ORDER BY prompt_endings.ended_at DESC, prompt_endings.kind, prompt_endings.prompt_id
