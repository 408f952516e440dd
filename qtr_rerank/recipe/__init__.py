"""Recipe: complete training runs, resumable step by step.

catalog_recipe   `qtr train CATALOG`: models for one shop, with the quality gate at the end
general_preset   `qtr train --preset general`: the models in the package, from public data
steps            runs the steps of both, and of the experiments
"""
