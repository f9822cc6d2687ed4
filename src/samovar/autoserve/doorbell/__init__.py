"""The doorbell: MLflow tells autoserve that an alias moved. It only wakes the loop; what is true is read from the registry."""
