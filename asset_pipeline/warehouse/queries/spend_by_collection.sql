-- One row a collection and kind that was ever asked for a clip: its attempts and their cost.
SELECT
    collection,
    kind,
    count(DISTINCT prompt_id) AS prompts,
    count(*) AS predictions,
    count(*) FILTER (WHERE state = 'delivered') AS delivered,
    CAST(sum(charged_usd) AS DECIMAL(18,6)) AS charged_usd
FROM predictions
GROUP BY collection, kind
ORDER BY charged_usd DESC, collection, kind
