-- One row a model and reason: how many of its judged clips were rejected, and for what.
WITH judged AS (
    SELECT kind, model, count(*) AS judged
    FROM clips
    WHERE review_state IS NOT NULL
    GROUP BY ALL
),
last_verdicts AS (
    SELECT clip_id, arg_max(reason_code, review_id) AS reason_code
    FROM reviews
    GROUP BY clip_id
)
SELECT
    judged.kind,
    judged.model,
    coalesce(last_verdicts.reason_code, '') AS reason_code,
    count(clips.clip_id) AS rejected,
    judged.judged,
    round(count(clips.clip_id) / judged.judged, 4) AS rejection_rate
FROM judged
LEFT JOIN clips
    ON clips.kind = judged.kind AND clips.model = judged.model AND clips.review_state = 'rejected'
LEFT JOIN last_verdicts ON last_verdicts.clip_id = clips.clip_id
GROUP BY judged.kind, judged.model, coalesce(last_verdicts.reason_code, ''), judged.judged
ORDER BY judged.kind, judged.model, rejected DESC, 3
