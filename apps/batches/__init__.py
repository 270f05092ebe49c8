"""Many scenes: which there are, what became of them, and running what is left, here or on a cluster.

    scenes, jobs_file, plan   what was asked   -> Task
    journal, history, resume  what happened    -> what is left to do
    scheduler, local, cluster running it       -> journal
    display, page, summary    showing it

Nothing here but `plan` knows what a scene's run does: a task names the function that its child process calls.
"""
