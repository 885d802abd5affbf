from corral import Corral
from corral.sync import Queue

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")


@mail.job("welcome")
def welcome(name: str) -> None: ...


# In a Django view, a Flask route or a script: no event loop, no await.
job_id = welcome.add_sync("Ann", delay=3600)

with Queue("mail", "sqlite:///corral.db") as queue:  # by name, without the application's code
    queue.add("welcome", "Bob", delay=3600)
    print(queue.counts().delayed, queue.get(job_id).state)
    queue.cancel(job_id, reason="she is here already")
    print(queue.get(job_id).failed_reason)
# -> 2 delayed
# -> cancelled: she is here already
