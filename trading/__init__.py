"""An Airflow-native crypto trading pipeline: gather, decide, apply."""
