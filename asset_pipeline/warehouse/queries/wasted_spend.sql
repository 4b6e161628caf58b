-- One row an attempt that was charged and will never deliver a clip, dearest first.
-- Attempts whose clip is still to be fetched (state completed) are not wasted yet.
SELECT
    kind,
    collection,
    prompt_id,
    variant,
    attempt,
    model,
    charged_usd,
    billed,
    error_class,
    error,
    completed_at,
    run_id,
    prediction_id,
    intent_id
FROM predictions
WHERE charged_usd > 0 AND state NOT IN ('completed', 'delivered')
ORDER BY charged_usd DESC, completed_at, intent_id
