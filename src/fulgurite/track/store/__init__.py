"""The store: projects, runs, what they logged, printed and saved. The only place that speaks SQL."""
