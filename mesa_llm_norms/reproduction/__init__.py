"""The study's main results again, from minds: what is played, what it is held against, the report.

``protocol`` says what an experiment is and plays it, ``offline`` and ``live`` play them all.
``recorded`` holds what the study's recordings show and ``published`` what is known otherwise.
``comparison`` tests each result: of whole ``populations``, single ``decisions`` and the
``critical`` mass; ``people`` does the same for two experiments with people. ``report`` tells about
it, in ``words``, ``tables`` and ``figures``.
"""
