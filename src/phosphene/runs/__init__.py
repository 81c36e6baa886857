"""Many maps on disk: one finished map, the folder of a run, jobs and where they run."""
