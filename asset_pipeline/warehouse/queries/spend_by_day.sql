-- One row a UTC day and kind with at least one paid attempt: what was charged that day.
-- An attempt belongs to the day it completed on; one that never said so, to the day it was made.
SELECT
    CAST(coalesce(completed_at, submitted_at, created_at) AT TIME ZONE 'UTC' AS DATE) AS day,
    kind,
    count(*) AS predictions,
    count(*) FILTER (WHERE state = 'delivered') AS delivered,
    CAST(sum(charged_usd) AS DECIMAL(18,6)) AS charged_usd
FROM predictions
WHERE charged_usd > 0
GROUP BY day, kind
ORDER BY day, kind
