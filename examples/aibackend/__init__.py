"""The AI backend on corral: answers by a queue, e-mails, and what keeps the house."""
