DROP TABLE pgweir_history.plan;
