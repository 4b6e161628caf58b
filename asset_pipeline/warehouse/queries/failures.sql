-- One row an attempt that was sent and ended without a clip, newest first, and whether a clip came
-- after all. What a budget refused or a stop left unsent failed at nothing and is not among them.
SELECT
    coalesce(completed_at, submitted_at, created_at) AS failed_at,
    kind,
    collection,
    prompt_id,
    variant,
    attempt,
    model,
    state,
    error_class,
    error,
    charged_usd,
    EXISTS (
        SELECT 1
        FROM clips
        -- Either may stand in for what was wanted.
        WHERE coalesce(clips.wanted_hash, clips.generation_hash)
            = coalesce(predictions.wanted_hash, predictions.generation_hash)
    ) AS made_up_for,
    strategy,
    run_id,
    prediction_id,
    intent_id
FROM predictions
WHERE state = 'failed' OR (state = 'refused' AND coalesce(error_class, '') <> 'cancelled')
ORDER BY failed_at DESC, intent_id
