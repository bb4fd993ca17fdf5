"""The graders of the exercises: `chapter_NN.py` holds chapter NN's, and is imported when one of them is asked for."""
