-- One row a current clip: what its own prediction cost, and what all attempts at it cost together.
-- A clip that reuses a file paid for elsewhere has no attempts of its own and cost nothing.
SELECT
    clips.clip_id,
    clips.kind,
    clips.collection,
    clips.prompt_id,
    clips.variant,
    clips.model,
    clips.strategy,
    clips.cost_usd,
    count(predictions.intent_id) AS attempts,
    CAST(coalesce(sum(predictions.charged_usd), 0) AS DECIMAL(18,6)) AS all_attempts_usd,
    clips.object_uri,
    clips.created_at
FROM clips
-- What the clip only stands in for was attempted too.
LEFT JOIN predictions
    ON predictions.kind = clips.kind
    AND predictions.prompt_id = clips.prompt_id
    AND predictions.variant = clips.variant
    AND coalesce(predictions.wanted_hash, predictions.generation_hash)
        = coalesce(clips.wanted_hash, clips.generation_hash)
WHERE clips.superseded_at IS NULL AND clips.removed_at IS NULL
GROUP BY ALL
ORDER BY clips.kind, clips.collection, clips.prompt_id, clips.variant
