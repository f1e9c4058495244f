"""Where and when stages run: board, lanes, driver, store, tracking. The only floor that knows Ray and MLflow."""
