"""A corpus of pairs of photos that matched, rightly and wrongly, and the log-odds fitted on it.

`python -m tests.benchmarks.ties --cache FOLDER` makes the corpus (matches are kept in FOLDER, and made once), fits the
weights of recon/matching/tie_odds.py and says how well they tell right from wrong on scenes that a fit has not seen.
"""
