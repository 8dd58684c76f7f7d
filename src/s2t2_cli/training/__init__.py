"""Training: a loop that knows no speech, and the tasks it trains.

settings, schedule, randomness    figures: what to do at which update
tasks                             what the loop asks of a task and of its batches
loop, state, log, world           the loop: steps, resuming, records, several processes
objective, batches                losses; clips of like length together
examples, collation, speech_task  speech translation, for `s2t2 finetune`
text_*, language_model*           language models, for `s2t2 train-lm`
"""

from __future__ import annotations
