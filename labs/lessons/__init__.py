"""What makes a notebook a lesson: the chapter line, claims, predictions, exercises, and the recordings behind them.

    chapter     names the chapter and says which link carries its network
    claim       a statement that the experiment just made true, or an error
    heard       a widely repeated statement, and the verdict of the experiment
    predict     the learner's guess beside the answer
    exercise    a task that is graded on evidence
    steady      a timing experiment, again if the machine stood still meanwhile

This room uses all the others; none of them knows of it.
"""

from labs.lessons.chapter import CHAPTERS, chapter
from labs.lessons.claim import ClaimFailed, claim, heard
from labs.lessons.exercise import Exercise, Feedback, exercise
from labs.lessons.predict import predict
from labs.lessons.steady import steady

__all__ = ["CHAPTERS", "ClaimFailed", "Exercise", "Feedback", "chapter", "claim", "exercise", "heard", "predict", "steady"]
