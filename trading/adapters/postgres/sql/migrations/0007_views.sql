-- What people look at. Nothing is stored here.

CREATE VIEW trading.order_current AS
SELECT intent.*,
       folded.state,
       folded.sequence,
       folded.changed_at,
       folded.venue_order_id,
       folded.signed_at,
       folded.recv_window_ms,
       folded.request_hash,
       folded.reason,
       filled.quantity AS filled_quantity
  FROM trading.order_intent AS intent
 CROSS JOIN LATERAL (
   -- the newest word on each fact; the event that planned it states none
   SELECT (array_agg(state ORDER BY sequence DESC))[1] AS state,
          max(sequence) AS sequence,
          (array_agg(at ORDER BY sequence DESC))[1] AS changed_at,
          (array_agg(venue_order_id ORDER BY sequence DESC)
             FILTER (WHERE sequence > 0 AND venue_order_id <> ''))[1] AS venue_order_id,
          (array_agg(signed_at ORDER BY sequence DESC)
             FILTER (WHERE sequence > 0 AND signed_at IS NOT NULL))[1] AS signed_at,
          (array_agg(recv_window_ms ORDER BY sequence DESC)
             FILTER (WHERE sequence > 0 AND recv_window_ms <> 0))[1] AS recv_window_ms,
          (array_agg(request_hash ORDER BY sequence DESC)
             FILTER (WHERE sequence > 0 AND request_hash <> ''))[1] AS request_hash,
          COALESCE((array_agg(reason ORDER BY sequence DESC)
             FILTER (WHERE sequence > 0 AND reason <> ''))[1], '') AS reason
     FROM trading.order_event
    WHERE order_event.client_order_id = intent.client_order_id
 ) AS folded
 CROSS JOIN LATERAL (
   SELECT COALESCE(sum(fill.quantity), 0) AS quantity
     FROM trading.fill
    WHERE fill.client_order_id = intent.client_order_id
 ) AS filled;

COMMENT ON VIEW trading.order_current IS 'Each order as its events and fills tell it; the same fold as the domain''s, and a test compares them.';


CREATE VIEW trading.position AS
SELECT fill.account,
       intent.strategy,
       fill.instrument,
       sum(CASE fill.side WHEN 'buy' THEN fill.quantity ELSE -fill.quantity END
           - CASE fill.fee_currency WHEN instrument.base THEN fill.fee ELSE 0 END) AS quantity,
       count(*) AS fills,
       max(fill.filled_at) AS newest_fill_at
  FROM trading.fill
  JOIN trading.order_intent AS intent USING (client_order_id)
  JOIN trading.instrument ON instrument.symbol = fill.instrument AND instrument.valid_to IS NULL
 GROUP BY fill.account, intent.strategy, fill.instrument;

COMMENT ON VIEW trading.position IS 'What each strategy holds, in base, net of fees paid in base.';


CREATE VIEW trading.balance AS
SELECT account,
       sub_account,
       currency,
       sum(amount) AS amount
  FROM trading.ledger_entry
 WHERE category = 'asset'
 GROUP BY account, sub_account, currency;

COMMENT ON VIEW trading.balance IS 'What each sub-account holds of each currency, by the ledger.';


CREATE VIEW trading.halt_open AS
SELECT engaged.event_id AS halt_id,
       engaged.account,
       engaged.scope,
       engaged.author,
       engaged.reason,
       engaged.at AS engaged_at
  FROM trading.control_event AS engaged
 WHERE engaged.kind = 'halt_engaged'
   AND NOT EXISTS (
     SELECT
       FROM trading.control_event AS released
      WHERE released.kind = 'halt_released'
        AND released.halt_id = engaged.event_id
   );

COMMENT ON VIEW trading.halt_open IS 'Halts that nobody released; * is every account.';
