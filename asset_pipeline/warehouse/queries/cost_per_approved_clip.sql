-- One row a model and collection with clips that people judged: what one that was approved has cost.
-- All that was spent there counts, what was rejected, replaced or failed included.
WITH judged AS (
    SELECT
        kind,
        collection,
        model,
        count(*) FILTER (WHERE review_state = 'approved') AS approved,
        count(*) FILTER (WHERE review_state = 'rejected') AS rejected
    FROM clips
    GROUP BY ALL
),
spent AS (
    SELECT kind, collection, model, sum(charged_usd) AS charged_usd
    FROM predictions
    GROUP BY ALL
)
SELECT
    judged.kind,
    judged.collection,
    judged.model,
    judged.approved,
    judged.rejected,
    CAST(coalesce(spent.charged_usd, 0) AS DECIMAL(18,6)) AS charged_usd,
    -- NULL where nothing is approved.
    CAST(
        coalesce(spent.charged_usd, 0) / nullif(judged.approved, 0) AS DECIMAL(18,6)
    ) AS usd_per_approved_clip
FROM judged
LEFT JOIN spent USING (kind, collection, model)
WHERE judged.approved + judged.rejected > 0
ORDER BY judged.kind, judged.collection, judged.model
