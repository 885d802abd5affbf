"""What BullMQ (and Bull, and BullMQ Pro) calls something, and what corral does. Run as a module it writes the table.

`where` names the thing in the code: `module:Class.attribute`, `module:function`, or `module:Keywords[keyword]`.
"""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bullmq.md"
BEGIN, END = "<!-- parity: begin -->\n", "<!-- parity: end -->\n"


class Row(NamedTuple):
    """One name of theirs. Without `where` it is not offered, and `note` says why."""

    theirs: str
    ours: str
    where: str = ""
    note: str = ""


QUEUE, QUEUES = "corral.queue:Queue", "corral.queue.queue:JobHandle"
ADD, DECLARED = "corral.keywords:AddKeywords", "corral.app.queues:QueueKeywords"
WORKER, OPTIONS = "corral.worker.worker:BaseWorker", "corral.worker.worker:WorkerOptions"
FLOW, SCHEDULER = "corral.flow.flow:Flow", "corral.scheduler:Scheduler"
CONTEXT, GROUP = "corral.worker.context:JobContext", "corral.queue.groups:Group"
LEASED = "corral.queue.leased:LeasedJob"

TABLE: dict[str, list[Row]] = {
    "Queue": [
        Row("add", "`queue.add(name, data, …)`, `definition.add(data, …)`", f"{QUEUE}.add"),
        Row("addBulk", "`queue.add_bulk(…)`", f"{QUEUE}.add_bulk", "one atomic step: all or none"),
        Row("pause", "`queue.pause(reason)`", f"{QUEUE}.pause"),
        Row("resume", "`queue.resume()`", f"{QUEUE}.resume"),
        Row("isPaused", "`(await queue.info()).paused`", "corral.storage.port:QueueInfo.paused"),
        Row("isMaxed", "`queue.full()`", f"{QUEUE}.full"),
        Row("drain", "`queue.drain(delayed=…)`", f"{QUEUE}.drain"),
        Row("clean", "`queue.clean(state, older_than=…, limit=…)`", f"{QUEUE}.clean"),
        Row("obliterate", "`queue.obliterate(force=…)`", f"{QUEUE}.obliterate"),
        Row("remove", "`queue.remove(*ids)`", f"{QUEUE}.remove"),
        Row("retryJobs", "`queue.retry(states=…, limit=…, after=…, every=…)`", f"{QUEUE}.retry", "as a drip if wanted"),
        Row("promoteJobs", "`queue.promote(limit=…)`", f"{QUEUE}.promote"),
        Row("trimEvents", "–", "", "the log bounds itself to about 10,000 events a queue"),
        Row("rateLimit", "`queue.hold(seconds, reason)`", f"{QUEUE}.hold"),
        Row("getRateLimitTtl", "`queue.limited_for()`", f"{QUEUE}.limited_for", "seconds"),
        Row("removeRateLimitKey", "`queue.lift()`", f"{QUEUE}.lift"),
        Row("setGlobalConcurrency", "`queue.limit(concurrency=…)`", f"{QUEUE}.limit"),
        Row("getGlobalConcurrency", "`(await queue.info()).concurrency`", "corral.storage.port:QueueInfo.concurrency"),
        Row("removeGlobalConcurrency", "`queue.limit(concurrency=None)`", f"{QUEUE}.limit"),
        Row("setGlobalRateLimit", "`queue.limit(RateLimit(…))`", f"{QUEUE}.limit", "or several windows"),
        Row("getGlobalRateLimit", "`(await queue.info()).rate_limit`", "corral.storage.port:QueueInfo.rate_limit"),
        Row("removeGlobalRateLimit", "`queue.limit(None)`", f"{QUEUE}.limit"),
        Row("getMeta", "`queue.info()`", f"{QUEUE}.info"),
        Row("getVersion", "`corral.__version__`", "corral._version:__version__"),
        Row("getDeduplicationJobId", "`queue.deduplication(id)`", f"{QUEUE}.deduplication"),
        Row("removeDeduplicationKey", "`queue.stop_deduplication(id)`", f"{QUEUE}.stop_deduplication"),
        Row("getJobCounts", "`queue.counts()`", f"{QUEUE}.counts"),
        Row("getJobCountByTypes", "`queue.counts()`", f"{QUEUE}.counts", "add the fields up"),
        Row("getCountsPerPriority", "`queue.counts_by_priority()`", f"{QUEUE}.counts_by_priority"),
        Row("getRanges", "`queue.page(*states, …)`", f"{QUEUE}.page"),
        Row("getJobs", "`queue.page(*states, …)`", f"{QUEUE}.page"),
        Row("getJob", "`queue.get(id)`", f"{QUEUE}.get", "raises when it is gone"),
        Row("getDependencies", "`queue.children(id)`", f"{QUEUE}.children"),
        Row("getJobLogs", "`queue.logs(id)`", f"{QUEUE}.logs"),
        Row("addJobLog", "`queue.log(id, line)`", f"{QUEUE}.log"),
        Row("getWorkers", "`queue.workers()`", f"{QUEUE}.workers"),
        Row("getWorkersCount", "`len(await queue.workers())`", f"{QUEUE}.workers"),
        Row("getQueueEvents", "–", "", "readers of events are not registered: they only read"),
        Row("getMetrics", "`queue.metrics(last=…)`, `queue.series(…)`", f"{QUEUE}.metrics", "minutes, hours and days"),
        Row("exportPrometheusMetrics", "`ApiMetrics(monitor).render()`, `GET /metrics`",
            "corral.observe.prometheus:ApiMetrics.render", "BullMQ's names beside ours"),
        Row("recordJobCountsMetric", "`record_counts(app)`", "corral.observe.tracing:record_counts"),
        Row("updateJobProgress", "`queue.update(id, progress=…)`", f"{QUEUE}.update"),
        Row("removeOrphanedJobs", "–", "", "there are none: a job and its place are written and removed in one step"),
    ],
    "Schedulers": [
        Row("upsertJobScheduler", "`app.schedule(…)`, `scheduler.put(schedule)`", f"{SCHEDULER}.put"),
        Row("getJobScheduler", "`scheduler.get(queue, key)`", f"{SCHEDULER}.get"),
        Row("getJobSchedulers", "`queue.schedules()`", f"{QUEUE}.schedules"),
        Row("getJobSchedulersCount", "`(await queue.schedules()).total`", f"{QUEUE}.schedules"),
        Row("removeJobScheduler", "`scheduler.drop(queue, key)`", f"{SCHEDULER}.drop"),
        Row("pattern", '`Cron("0 9 * * 1")`', "corral.schedule:Cron.expression"),
        Row("every", "`Every(60)`", "corral.schedule:Every.seconds", "seconds"),
        Row("limit", "`limit=`", "corral.app.schedules:ScheduleKeywords[limit]"),
        Row("startDate", "`start=`", "corral.app.schedules:ScheduleKeywords[start]"),
        Row("endDate", "`end=`", "corral.app.schedules:ScheduleKeywords[end]"),
        Row("tz", '`Cron(…, tz="Europe/Oslo")`', "corral.schedule:Cron.tz"),
        Row("offset", "`start=`", "corral.app.schedules:ScheduleKeywords[start]", "`Every` counts from it"),
        Row("immediately", "`scheduler.run_now(queue, key)`", f"{SCHEDULER}.run_now"),
        Row(
            "repeatStrategy", "–", "",
            "a strategy of one process would be unknown to the next: add the next job at its end",
        ),
    ],
    "Job": [
        Row("updateData", "`queue.update(id, data=…)`", f"{QUEUE}.update"),
        Row("updateProgress", "`ctx.progress(value)`", f"{CONTEXT}.progress"),
        Row("log", "`ctx.log(line)`", f"{CONTEXT}.log"),
        Row("clearLogs", "`queue.clear_logs(id, keep=…)`", f"{QUEUE}.clear_logs"),
        Row("remove(removeChildren)", "`app.flow.remove(queue, id)`", f"{FLOW}.remove"),
        Row("removeChildDependency", "`queue.detach(id)`", f"{QUEUE}.detach"),
        Row("removeUnprocessedChildren", "`queue.remove_pending_children(id)`", f"{QUEUE}.remove_pending_children"),
        Row("getState", "`(await handle.get()).state`", "corral.job:Job.state"),
        Row("isCompleted … isWaitingChildren", "`(await handle.get()).state`", "corral.job:JobState"),
        Row("changeDelay", "`queue.update(id, delay=…)`", f"{QUEUE}.update"),
        Row("changePriority", "`queue.update(id, priority=…)`", f"{QUEUE}.update"),
        Row(
            "getChildrenValues", "`ctx.children_of(definition)`, `(await ctx.children()).completed`",
            f"{CONTEXT}.children",
        ),
        Row("getFailedChildrenValues", "`(await ctx.children()).failed`", "corral.storage.port:Children.failed"),
        Row("getIgnoredChildrenFailures", "`(await ctx.children()).failed`", "corral.storage.port:Children.failed"),
        Row("getDependenciesCount", "`len(children.pending)` …", "corral.storage.port:Children.pending"),
        Row("waitUntilFinished", "`handle.result(timeout=…)`", f"{QUEUES}.result"),
        Row("promote", "`handle.promote()`", f"{QUEUES}.promote"),
        Row("retry", "`handle.retry()`, `queue.retry(id, reset_attempts=…)`", f"{QUEUE}.retry"),
        Row("extendLock", "by itself; `leased.extend(seconds)`", f"{LEASED}.extend", "a worker renews its leases"),
        Row("moveToCompleted", "return; `leased.complete(result)`", f"{LEASED}.complete"),
        Row("moveToFailed", "raise; `leased.fail(error)`", f"{LEASED}.fail"),
        Row("moveToWait", "`raise Retry(pause=…)`; `leased.release()`", f"{LEASED}.release"),
        Row("moveToDelayed", "`raise Snooze(seconds)`; `leased.snooze(seconds)`", f"{LEASED}.snooze"),
        Row(
            "moveToWaitingChildren", "`raise WaitForChildren`; `leased.wait_for_children()`",
            f"{LEASED}.wait_for_children",
        ),
    ],
    "Job options": [
        Row("jobId", "`id=`", f"{ADD}[id]"),
        Row("delay", "`delay=`, `at=`", f"{ADD}[delay]", "seconds; `at` is a date"),
        Row("priority", "`priority=`", f"{ADD}[priority]", "any explicit one goes before plain jobs"),
        Row("lifo", "`lifo=True`", f"{ADD}[lifo]"),
        Row("attempts", "`attempts=`", f"{ADD}[attempts]"),
        Row("backoff", "`backoff=Exponential(2)`", f"{ADD}[backoff]"),
        Row("removeOnComplete", "`keep_completed=`", f"{ADD}[keep_completed]"),
        Row("removeOnFail", "`keep_failed=`", f"{ADD}[keep_failed]"),
        Row("keepLogs", "`keep_logs=`", f"{ADD}[keep_logs]"),
        Row("parent", "`parent=`", f"{ADD}[parent]"),
        Row("failParentOnFailure", '`on_failure="fail"`', "corral.options:ParentPolicy.FAIL", "the default of nodes"),
        Row("continueParentOnFailure", '`on_failure="continue"`', "corral.options:ParentPolicy.CONTINUE"),
        Row("ignoreDependencyOnFailure", '`on_failure="ignore"`', "corral.options:ParentPolicy.IGNORE"),
        Row("removeDependencyOnFailure", '`on_failure="remove"`', "corral.options:ParentPolicy.REMOVE"),
        Row("deduplication (simple)", '`dedup="id"`, `unique=…`', f"{ADD}[dedup]"),
        Row("deduplication ttl (throttle)", '`Dedup("id", ttl=5)`', "corral.options:Dedup.ttl"),
        Row(
            "deduplication extend + replace (debounce)", "`Dedup(…, extend=True, replace=True)`",
            "corral.options:Dedup.replace",
        ),
        Row(
            "keepLastIfActive", "`Dedup(…, keep_last=True)`", "corral.options:Dedup.keep_last",
            "the newest, also when the owner waits again: BullMQ drops it then",
        ),
        Row("limiter (Bull, per job)", "`limit=RateLimit(…)`, `limit_key=`", f"{ADD}[limit]"),
        Row("timeout (Bull)", "`timeout=`", f"{ADD}[timeout]", "stops the work"),
    ],
    "Worker": [
        Row("concurrency", "`app.queue(…, concurrency=5)`", f"{DECLARED}[concurrency]"),
        Row("limiter", "`app.queue(…, rate_limit=RateLimit(10, per=1))`", f"{DECLARED}[rate_limit]"),
        Row("autorun", "`async with worker:` or `await worker.run()`", f"{WORKER}.run"),
        Row("name", "`WorkerOptions(name=…)`", f"{OPTIONS}.name"),
        Row("metrics", "always", "corral.worker.recorder:Recorder"),
        Row("maximumRateLimitDelay", "–", "", "an idle worker is woken when the window ends, however long it is"),
        Row("maxStartedAttempts", "`max_crashes=`", f"{ADD}[max_crashes]", "attempts and crashes are counted apart"),
        Row("maxStalledCount", "`max_crashes=`, `WorkerOptions(max_crashes=…)`", f"{OPTIONS}.max_crashes"),
        Row("stalledInterval", "`WorkerOptions(recovery_interval=…)`", f"{OPTIONS}.recovery_interval"),
        Row("removeOnComplete, removeOnFail", "`app.queue(…, keep_completed=…)`", f"{DECLARED}[keep_completed]"),
        Row("skipStalledCheck", "`WorkerOptions(recover=False)`", f"{OPTIONS}.recover"),
        Row("skipLockRenewal", "–", "", "without renewal a job that takes longer than a lease would run twice"),
        Row("drainDelay", "–", "", "an idle worker is woken by the store"),
        Row("lockDuration", "`WorkerOptions(lease=…)`", f"{OPTIONS}.lease"),
        Row("lockRenewTime", "–", "", "renewed when half of the lease is gone"),
        Row("settings.backoffStrategy", "`backoff=function`", f"{ADD}[backoff]"),
        Row(
            "useWorkerThreads, sandbox", "`def` runs in a thread; `process=True`",
            "corral.app.definition:HandlerKeywords[process]",
        ),
        Row("telemetry", "`instrument(app)`", "corral.observe.tracing:instrument"),
        Row(
            "cancelJob", "`worker.cancel(id)`, `queue.cancel(id)`", f"{WORKER}.cancel",
            "the queue's reaches any worker",
        ),
        Row("cancelAllJobs", "`worker.cancel_all()`", f"{WORKER}.cancel_all"),
        Row("pause(doNotWait)", "`worker.pause(wait=…)`", f"{WORKER}.pause"),
        Row("close(force)", "`worker.close(force=…)`", f"{WORKER}.close"),
        Row("getNextJob", "`queue.claim(count)`", f"{QUEUE}.claim"),
        Row("rateLimit (inside a job)", '`raise Retry(after=…, pause="queue")`', "corral.signals:Retry"),
        Row("UnrecoverableError", "`raise Discard(reason)`, `give_up_on=`", "corral.signals:Discard"),
        Row("DelayedError", "`raise Snooze(seconds)`", "corral.signals:Snooze"),
        Row("RateLimitError", '`raise Retry(after=…, pause="group")`', "corral.signals:Retry"),
        Row("WaitingChildrenError", "`raise WaitForChildren`", "corral.signals:WaitForChildren"),
        Row("WaitingError", "`raise Snooze(0)`", "corral.signals:Snooze"),
    ],
    "Flows": [
        Row("FlowProducer.add", "`app.flow.add(node)`", f"{FLOW}.add"),
        Row("FlowProducer.addBulk", "`app.flow.add_bulk(nodes)`", f"{FLOW}.add_bulk", "one atomic step"),
        Row("getFlow", "`app.flow.tree(queue, id, depth=…, limit=…)`", f"{FLOW}.tree"),
        Row("queuesOptions", "`app.queue(name, attempts=…)`", f"{DECLARED}[attempts]", "declared with the queue"),
    ],
    "Events": [
        Row("QueueEvents", "`queue.events(after=…)`, `@app.on(…)`", f"{QUEUE}.events"),
        Row("QueueEventsProducer.publishEvent", "`queue.publish(name, data)`", f"{QUEUE}.publish", "`custom` events"),
    ],
    "Pro": [
        Row("group.id", "`group=`", f"{ADD}[group]"),
        Row("group.priority", "`priority=` beside `group=`", f"{ADD}[priority]"),
        Row("group.maxSize", "`GroupLimits(max_size=…)`", "corral.options:GroupLimits.max_size"),
        Row("getGroups", "`queue.groups()`", f"{QUEUE}.groups"),
        Row("getGroupJobs, getGroupJobsCount", "`queue.page(JobState.WAITING, group=…)`", f"{QUEUE}.page"),
        Row("pauseGroup", "`queue.group(id).pause()`", f"{GROUP}.pause"),
        Row("resumeGroup", "`queue.group(id).resume()`", f"{GROUP}.resume"),
        Row("group.concurrency", "`GroupLimits(concurrency=…)`", "corral.options:GroupLimits.concurrency"),
        Row("setGroupConcurrency, setGroupRateLimit", "`queue.group(id).limit(GroupLimits(…))`", f"{GROUP}.limit"),
        Row("group.limit", "`GroupLimits(rate_limits=(…,))`", "corral.options:GroupLimits.rate_limits"),
        Row(
            "group concurrency and limit per worker", "–", "",
            "limits of groups hold over all workers; a worker of its own queue has `concurrency`",
        ),
        Row("ttl (per name)", "`@queue.job(…, timeout=…)`", f"{ADD}[timeout]"),
        Row("rateLimitGroup", '`raise Retry(after=…, pause="group")`, `queue.group(id).hold(…)`', f"{GROUP}.hold"),
        Row("batch (size, minSize, timeout)", "`@queue.job(…, batch=Batch(…))`", "corral.worker.batch:Batch"),
        Row("batch (groupAffinity)", "`Batch(by_group=True)`", "corral.worker.batch:Batch.by_group"),
        Row("setAsFailed", "`item.fail(…)` of a batch", "corral.worker.batch:BatchJob.fail"),
        Row(
            "observables", "`await ctx.step(name, function)`", f"{CONTEXT}.step",
            "steps that are done are not repeated",
        ),
    ],
}  # fmt: skip

#: Every name that has to be in the table, as the documentation of BullMQ and of its Pro edition lists them.
NAMES = frozenset(
    """
    add addBulk upsertJobScheduler getJobScheduler getJobSchedulers removeJobScheduler getJobSchedulersCount pause
    resume isPaused isMaxed drain clean obliterate remove retryJobs promoteJobs trimEvents rateLimit getRateLimitTtl
    removeRateLimitKey setGlobalConcurrency getGlobalConcurrency removeGlobalConcurrency setGlobalRateLimit
    getGlobalRateLimit removeGlobalRateLimit getMeta getVersion getDeduplicationJobId removeDeduplicationKey
    getJobCounts getJobCountByTypes getCountsPerPriority getRanges getJobs getJob getDependencies getJobLogs
    addJobLog getWorkers getWorkersCount getQueueEvents getMetrics exportPrometheusMetrics recordJobCountsMetric
    updateJobProgress removeOrphanedJobs updateData updateProgress log clearLogs removeChildren
    removeChildDependency removeUnprocessedChildren extendLock moveToCompleted moveToFailed moveToWait moveToDelayed
    moveToWaitingChildren getState isCompleted isWaitingChildren changeDelay changePriority getChildrenValues
    getIgnoredChildrenFailures getFailedChildrenValues getDependenciesCount waitUntilFinished promote retry
    concurrency limiter autorun name metrics maximumRateLimitDelay maxStartedAttempts maxStalledCount
    stalledInterval removeOnComplete removeOnFail skipStalledCheck skipLockRenewal drainDelay lockDuration
    lockRenewTime backoffStrategy useWorkerThreads sandbox telemetry cancelJob cancelAllJobs close getNextJob
    UnrecoverableError DelayedError RateLimitError WaitingChildrenError WaitingError getFlow queuesOptions
    failParentOnFailure continueParentOnFailure ignoreDependencyOnFailure removeDependencyOnFailure simple throttle
    debounce keepLastIfActive pattern every limit startDate endDate tz offset immediately repeatStrategy QueueEvents
    QueueEventsProducer maxSize pauseGroup resumeGroup getGroups batch size minSize timeout setAsFailed
    groupAffinity ttl observables FlowProducer jobId delay priority lifo attempts backoff keepLogs parent
    deduplication setGroupConcurrency setGroupRateLimit rateLimitGroup
    """.split()
)


def words(row: Row) -> set[str]:
    """The names of theirs that a row is about."""
    return set(re.findall(r"[A-Za-z]+", row.theirs))


def as_markdown() -> str:
    """The table, as it stands in the documents."""
    lines: list[str] = []
    for section, rows in TABLE.items():
        lines += [f"### {section}", "", "| BullMQ | corral | |", "|---|---|---|"]
        for row in rows:
            note = row.note if row.where else f"not offered: {row.note}"
            lines.append(f"| `{row.theirs}` | {row.ours} | {note} |")
        lines.append("")
    return "\n".join(lines)


def page() -> tuple[str, str, str]:
    """What stands before the table, the table, and what stands behind it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    return before + BEGIN, table, END + after


if __name__ == "__main__":
    before, _, after = page()
    PAGE.write_text(before + as_markdown() + after, encoding="utf-8")
