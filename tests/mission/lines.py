"""The checklist of the four platforms: one short clause for each line.

A `+` after the number: the line is about what a store does, so tests must show it on SQLite and on Redis.
"""

from typing import NamedTuple


class Line(NamedTuple):
    """One thing that a platform promises."""

    id: str  #: `M-GL-52`
    says: str
    both: bool  #: whether it must be shown on each engine


class Platform(NamedTuple):
    """A platform, and what it promises."""

    title: str
    lines: tuple[Line, ...]


def _read(title: str, prefix: str, text: str) -> Platform:
    lines = []
    for row in text.strip().splitlines():
        number, says = row.split(" ", 1)
        lines.append(Line(f"{prefix}-{number.rstrip('+')}", says.strip(), number.endswith("+")))
    return Platform(title, tuple(lines))


TEAMSPARK = """
01+ retries, schedules, priorities, progress and several workers, all in one application
02+ `send-email` delivers mail
03+ `sync-slack` fetches users, channels and messages
04+ `generate-report` makes weekly, monthly and quarterly reports
05+ `cleanup-old-data` removes logs, sessions and temporary files
06+ `send-kudos-notification` tells of kudos, achievements and team updates
07+ `process-checkin` stores answers, follows the mood and finds insights
08+ `calculate-metrics` computes engagement, performance and satisfaction
09 an enum of job types names the queues
10+ a worker calls the queue's handler with each job
11+ at most five jobs at once in a worker
12+ ten starts a second over all workers together
13 a limit is the queue's: two that differ are pointed out
14 a worker that starts again when code changes
15 a worker that does not
16 under PM2: in the foreground, logs on stdout, an exit code other than 0 on a fatal error
17 under Docker Compose
18 under systemd, with a unit file
19+ several workers share the queues, no job runs twice, each has a name of its own
20+ adding a job answers its id
21+ a delay of a minute is kept
22+ priority 1 runs before ordinary jobs
23 the job names that callers use exist
24 schedules are lines of a table: name, queue, pattern, data
25+ engagement is calculated at one every night
26+ the weekly team report goes out on Monday at nine
27+ registering the table again doubles nothing, changes what changed, drops its own that went unless `prune=False`
28 `GET /api/jobs` with a bearer token
29+ its answer has six counts of each queue
30+ `paused` counts what a paused queue holds back
31 no token: 401; a token without the right: 403
32 the log says that a job was added, with queue and id
33 the log says that a mail is being processed, with id and recipient
34 the log says that a mail was sent
35+ ids are numbers that count up
36+ `corral jobs clean` cleans completed and failed jobs of every queue
37 the lines it prints
38 the payload of `send-email`
39 the payload of `sync-slack`, nothing but three kinds accepted
40 the payload of `generate-report`
41 the payload of `calculate-metrics`
42 payloads of clean-up, kudos and check-ins
43 templates are filled with data
44+ three attempts, exponentially from two seconds, unless a job says otherwise
45+ failed jobs go after a day, also where nothing else happens
46+ an error is logged, and the job is tried again
47+ the id is the same in every attempt; a handler that did its work says so
48+ progress 10, 50, 100
49+ SIGTERM: no new jobs, the active ones end, exit code 0
50+ depth, failure rate, completion rate and mean time of each queue
51 who may add is checked
52+ a limit on how fast a caller may add
53+ alert rules on rates, failures and depth
54 secrets in payloads are masked or encrypted
55+ `REDIS_URL` names the store
56 `WORKER_CONCURRENCY` sets the slots
57 `JOB_RETENTION_HOURS` sets how long finished jobs stay
58 an environment named production is stricter
59 a Dockerfile and a Compose file
60+ more slots for each queue, more workers, and urgent jobs before others
61+ one command says why jobs are not processed
62 memory: figures, limits and clean-up
63+ waiting time and running time, apart
64 `redis-cli` and the logs stay useful
65 `LLEN bull:send-email:wait` counts what waits
"""

GOLIVE = """
01 queue `email`: five at once, normal priority
02 queue `report`: two at once, normal priority
03 queue `pipeline`: ten at once, high priority
04 queue `test`: five at once, normal priority
05 queue `deployment`: three at once, high priority
06 queue `notification`: ten at once, normal priority
07 queue `cleanup`: one at once, low priority
08 queue `analytics`: two at once, low priority
09+ purpose, slots and priority stand in a queue's configuration
10+ three attempts, exponentially from two seconds, 100 completed and 500 failed jobs kept
11 e-mail `welcome`, normal
12 e-mail `password-reset`, high
13 e-mail `pipeline-complete`, normal
14 e-mail `test-results`, normal
15 e-mail `deployment-notification`, high
16 e-mail `alert`, critical
17 one recipient or several, and a context
18 what a mail about a pipeline knows
19 a free-form mail: recipient, subject, body
20 report `pipeline-report`
21 report `test-coverage`
22 report `security-scan`
23 report `analytics`
24 report `audit-log`
25+ durations by job name, and a flag for what is slower than expected
26+ clean-up `expired-tokens` daily at 02:00
27+ clean-up `old-logs` daily at 03:00: archive what is older than 30 days
28+ clean-up `temp-files` daily at 04:00
29+ clean-up `old-artifacts` on Sundays at 04:00: what is older than 7 days
30+ one call makes all four schedules
31+ `add_email_job(type, payload, priority)`
32+ `add_report_job(type, payload)`
33+ `add_cleanup_job(type, data, priority)`
34+ `add_job(queue, name, data, options)` answers a job with an id
35+ CRITICAL, HIGH, NORMAL and LOW are served in that order
36+ `add_delayed_job` by an hour
37+ `add_scheduled_job` at an instant; one that is past runs at once
38+ `add_repeating_job` by a cron line
39 the forms of cron lines
40+ `process_jobs` registers a handler for one name
41+ a number of slots is the cap of its name
42+ a job without handler fails and says so
43+ progress can be set and read
44+ what a handler returns is kept
45+ the e-mail handler: HTML templates, SMTP, five at once
46+ the report handler: pipelines, coverage, security, analytics, audit
47+ `GET /api/v1/jobs/queues`: six counts of every queue
48+ totals since ever stand beside what is retained
49+ `GET …/queues/:q/stats`, 404 for an unknown queue
50+ `GET …/queues/:q/failed?start&end`
51+ `end` is included, as in Bull
52+ `POST …/job/:id/retry`
53+ `POST …/pause`
54+ `POST …/resume`
55+ `POST …/clean` with grace and status; 400 for another status
56 without the role ADMIN: 403 everywhere
57+ `get_queue_stats`
58+ `get_all_queue_stats`
59+ `get_failed_jobs`
60+ `get_job`: data and progress, or None
61+ `retry_job`
62+ `remove_job`
63+ `clean_queue`
64+ `pause_queue` and `resume_queue`
65+ a full backup every night at one
66+ a health check every hour
67+ retries after two and four seconds
68+ five attempts from five seconds, for one job
69+ "do not retry" is a failure, at once
70+ retry only what is transient
71+ retry or remove many failed jobs by a filter
72 each purpose has a queue of its own
73 a payload has a limit; the way around it is to store the thing and pass on its id
74+ progress 0, 33, 66, 100
75 started, completed and failed stand in the log
76+ completed jobs go after 7 days, failed ones after 30
77+ warnings above 100 failed and 1,000 waiting jobs
78+ a handler that runs twice creates once
79 `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD`, `REDIS_DB`
80 `SMTP_HOST` and its siblings
81+ a handler with 20 slots for one name
82+ a handler with one slot for heavy reports
83+ whether a queue is paused, beside the count
84+ reasons and data of the last ten failures
85+ failed jobs grouped by cause
86+ clean what completed more than a day ago
87+ how many finished jobs are kept, by job
88 Bull Board shows the same queues
"""

BIZINSIGHTS = """
01+ one connection for all, and a cache with a time to live
02+ a queue service: add, remove, pause, resume, empty, clean, figures
03 six processors in modules of their own
04+ a scheduler: recurring jobs, by cron and by integration
05+ one worker process for all queues
06+ a monitoring API
07+ a worker that ends gracefully
08 no installation on SQLite; Redis where it is wanted
09 `.env`: the store, the mail key (optional), the sender
10 development and production commands
11 under PM2
12+ `data-sync` for Shopify, Stripe, Google Analytics and Facebook Ads, in full or from where it stopped
13+ WooCommerce, too
14+ every 2, 3, 4 and 24 hours, one schedule for each integration
15+ `insights-generation` over 7, 30, 90 days or a year, every six hours
16+ `webhook-processing` of signed events
17+ `report-generation`
18+ `email-sending` with its four templates
19+ `alerts` by severity
20+ a job without a name gets the usual one
21+ a sync now, without waiting for its schedule
22+ insights now
23+ a webhook is answered at once, and quickly where the store is away
24+ a recurring job under a key: the same key changes it
25+ `GET /api/jobs/monitoring`: counts of all queues, and their sum
26+ `GET /api/jobs/:queue` with its failed jobs
27+ `POST /api/jobs/monitoring/retry`: one job, or all that failed
28+ `POST /api/jobs/:queue?action=…`: pause, resume, empty, clean; 400 for another
29+ figures, failed jobs and retries from code
30+ priority, attempts, backoff, delay and a time limit that really stops a job
31 cron lines: hourly, six-hourly, daily, weekly, monthly
32+ three attempts: at once, after two and after four seconds
33+ completed jobs stay a day, failed ones seven
34+ clean by age and state
35+ pause and resume
36+ empty removes what waits; obliterate removes all
37 a store that cannot be reached is named, and tried again
38 `redis-cli info` stays useful
39+ clean by the API
40+ jobs of a dead worker come back by themselves
41+ one command says why nothing is processed
42 advice on slots for heavy and light jobs
43+ a time limit for each queue: 5 min, 3 min, 30 s, 10 s
44+ a warning above 100 waiting jobs
45+ refused credentials are noted on the integration
46+ a critical failure tells the administrators
47+ how often, by plan
48+ an eye on the platforms' quotas
49 the worker says that it is running
50 it prints figures every 30 seconds
51+ waiting, active, completed can be seen
52+ failed jobs are tried again by themselves
53+ insights come every six hours
54+ webhooks are handled within seconds
55 logs of worker, store and application
"""

AI_BACKEND = """
01 `REDIS_HOST`, `REDIS_PORT`, `REDIS_PASSWORD`
02+ one connection shared by all queues
03 queues registered by module
04+ queues injected into a web application
05+ `generate-completion`
06+ `generate-embeddings`
07+ `email`: welcome, verification, password reset, notification
08+ adding answers `{jobId, status: 'queued'}`
09+ an unknown job is a 404
10+ a job's state
11+ id, state, progress, result, reason and attempts
12+ handlers in a class, with services injected
13 processing, completed and failed stand in the log
14+ progress 10, 30, 80, 100
15+ the result: conversation, content, tokens
16 handlers are registered by their modules
17+ priorities from 1 to 1,000,000, lower first
18+ a delay
19+ a number of attempts
20+ remove when completed, keep when failed
21+ a time limit that really stops a job
22+ exponential or fixed backoff: 0, 5, 10, 20, 40 seconds
23+ a limiter on a job: ten a second of its name
24+ a lifespan: not started within an hour, it expires
25+ the event completed
26+ the event failed
27+ the event progress
28+ the event stalled
29+ the event drained
30+ events arrive in any process
31+ drained and idle are two things
32+ completed, for every worker's jobs
33+ failed, for every worker's jobs
34+ cron with a time zone, across clock changes
35+ every five minutes
36+ every so many milliseconds
37+ the time a job was due, and payloads made when it is
38+ list and remove what repeats
39+ pause, resume, and whether it is paused
40+ empty
41+ clean by age and state
42+ six counts
43+ lists of waiting, active, completed and failed jobs
44 an operator's page under any path of the application
45+ all queues, a job's state, retry, clean, details
46 closed unless opened
47+ `POST ai/queue` for the current user
48+ `GET ai/jobs/:id`
49+ `DELETE ai/jobs/:id` cancels what waits and what runs
50+ nobody sees or cancels another one's jobs
51+ a handler knows its last attempt
52+ the administrator hears of the final failure alone
53 an error tracker gets id, name, data and attempts
54+ the job's user is told
55+ sent once, and said so afterwards
56+ progress in a loop writes rarely
57 logs of a job's life, with the stack
58+ a bad payload is refused, and never retried
59 a handler is tested without a store
60+ add, wait, read the result
61 no service is needed to test
62+ processed, failed, mean times: waiting and running apart, no NaN
63+ stuck jobs are queued again, not deleted
64+ nothing kept of what completed, 50 of what failed
65 connection lost and found can be observed
66+ mail by a queue
67+ clean-up by a schedule
68+ an operator's view
69+ priorities
70+ figures and monitoring
71+ a graceful end
72+ health checks that know the queues
"""

PLATFORMS = (
    _read("TeamSpark", "M-TS", TEAMSPARK),
    _read("GoLive", "M-GL", GOLIVE),
    _read("BizInsights", "M-BI", BIZINSIGHTS),
    _read("AI backend", "M-AI", AI_BACKEND),
)
LINES = tuple(line for platform in PLATFORMS for line in platform.lines)
