"""BizInsights: business figures from five platforms, synced, watched and reported by background jobs."""
