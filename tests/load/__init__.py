"""The four platforms under load, at once on one server or one by one on files: is everything as promised?

    python -m tests.load --engine redis --seconds 300        # all of them at once, each in a process of its own
    python -m tests.load --engine sqlite --seconds 300       # one after the other

Each platform lives its demo. Its schedules are hurried: what runs daily runs every few seconds, a fixed number of
times. Meanwhile jobs that ended well are added again, so many a second. When every schedule has run as often as it
should and every job has ended, the books are closed: what was added has to have ended, limits must have held, and the
dashboard has to show the same figures. Prints one line of JSON for each platform; ends with 1 when one has a problem.
"""
