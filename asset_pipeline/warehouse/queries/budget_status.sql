-- One row a budget and period, fullest first: how much of its cap is spent or set aside.
SELECT
    budget,
    period,
    period_start,
    cap_usd,
    charged_usd,
    reserved_usd,
    headroom_usd,
    -- NULL for a cap of nothing, of which no share can be used.
    CAST(100 * (charged_usd + reserved_usd) / nullif(cap_usd, 0) AS DECIMAL(18,1)) AS used_percent,
    CASE
        WHEN charged_usd + reserved_usd > cap_usd THEN 'overdrawn'
        WHEN headroom_usd = 0 THEN 'exhausted'
        WHEN charged_usd + reserved_usd >= cap_usd * 0.8 THEN 'low'
        ELSE 'ok'
    END AS status
FROM budgets
ORDER BY used_percent DESC NULLS FIRST, budget
