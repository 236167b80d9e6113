-- What was said of a decision before is not news: planning asks at each of its lines.

CREATE INDEX plan_line_by_decision ON trading.plan_line (account, strategy, as_of, instrument);
