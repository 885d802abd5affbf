import asyncio
from pathlib import Path

from corral import Corral
from corral.handlers.email import EmailSettings, bundle

app = Corral("sqlite:///corral.db")
# Without settings the environment decides (SMTP_HOST, RESEND_API_KEY …); without those, mails become files.
mail = app.include(bundle(EmailSettings(email_from="Shop <noreply@example.com>", email_transport="dry-run")))


async def main() -> None:
    async with app, await app.worker():
        job = await mail.definition("welcome-email").add(
            {"to": "ann@example.com", "subject": "Welcome!", "template": "welcome", "data": {"name": "Ann"}}
        )
        result = await job.result(timeout=10)
        print(result["accepted"], Path(result["response"]).suffix)


asyncio.run(main())
# -> ['ann@example.com'] .eml
