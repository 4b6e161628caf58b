-- One row a model that was ever asked for a clip: its attempts, their outcome and their cost.
SELECT
    kind,
    model,
    count(*) AS predictions,
    count(*) FILTER (WHERE state = 'delivered') AS delivered,
    count(*) FILTER (WHERE state IN ('failed', 'refused')) AS failed,
    CAST(sum(charged_usd) AS DECIMAL(18,6)) AS charged_usd,
    -- Dollars paid for each clip that arrived, failed attempts included; NULL if none did.
    CAST(
        sum(charged_usd) / nullif(count(*) FILTER (WHERE state = 'delivered'), 0)
        AS DECIMAL(18,6)
    ) AS charged_usd_per_clip
FROM predictions
GROUP BY kind, model
ORDER BY charged_usd DESC, model
