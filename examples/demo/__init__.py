"""The stage on which each platform shows itself: a worker, its API, and everything that happens while it happens.

A platform's part is its module `demo`:

    prepare(folder)           make its files, such as a database with samples; what an earlier run left may be there
    async build(stage)        answer its application: on `stage.url`, files in `stage.folder`, mails in `stage.mails`
    async life(app, stage)    add its jobs, and say so with `stage.note`
    api(app, stage)           answer its HTTP application (may be left out)

Nothing leaves the machine, whatever the environment says.
"""

from .stage import Act, Stage, load

__all__ = ["Act", "Stage", "load"]
