-- try_chain_lock --
-- One writer of the control chains at a time; whoever comes second leaves it to the first.
SELECT pg_try_advisory_xact_lock(hashtext('trading.control_chain')) AS held;

-- unchained_events --
-- Control events that no chain covers yet, oldest first.
SELECT event_id, account, kind, scope, halt_id, author, reason, at, run_id, dag_id, detail, token_id, key_id
  FROM trading.control_event
 WHERE NOT EXISTS (
   SELECT
     FROM trading.control_chain
    WHERE control_chain.event_id = control_event.event_id
 )
 ORDER BY event_id
 LIMIT %(limit)s;

-- control_chain_head --
-- The newest link of an account's chain.
SELECT chain_sequence, hash
  FROM trading.control_chain
 WHERE account = %(account)s
 ORDER BY chain_sequence DESC
 LIMIT 1;

-- add_control_links --
-- The next links.
INSERT INTO trading.control_chain (account, chain_sequence, event_id, previous_hash, hash)
SELECT *
  FROM unnest(
    %(accounts)s::text[], %(sequences)s::bigint[], %(events)s::bigint[], %(previous)s::text[], %(hashes)s::text[]
  );

-- audited_accounts --
-- Every account that has a chain.
SELECT account
  FROM trading.account
 UNION
SELECT account
  FROM trading.control_event
 ORDER BY account;

-- chain_heads --
-- The newest links of an account's two chains, and of the control events that concern every account.
(
  SELECT 'order' AS chain, account, chain_sequence, hash
    FROM trading.order_event
   WHERE account = %(account)s
   ORDER BY chain_sequence DESC
   LIMIT 1
)
UNION ALL
(
  SELECT 'control', account, chain_sequence, hash
    FROM trading.control_chain
   WHERE account = %(account)s
   ORDER BY chain_sequence DESC
   LIMIT 1
)
UNION ALL
(
  SELECT 'control', account, chain_sequence, hash
    FROM trading.control_chain
   WHERE account = '*'
   ORDER BY chain_sequence DESC
   LIMIT 1
);

-- remembered_head --
-- What the account's own row says of its order chain.
SELECT account, chain_sequence, chain_head AS hash
  FROM trading.account
 WHERE account = %(account)s;

-- order_links --
-- Order events as their hashes cover them, in the chain's order.
SELECT client_order_id, sequence, state, at, run_id, dag_id, reason, venue_order_id, signed_at, recv_window_ms,
       request_hash, epoch, detail, chain_sequence, previous_hash, hash
  FROM trading.order_event
 WHERE account = %(account)s
   AND chain_sequence > %(after)s
 ORDER BY chain_sequence
 LIMIT %(limit)s;

-- control_links --
-- Control events likewise.
SELECT event.event_id, event.account, kind, scope, halt_id, author, reason, at, run_id, dag_id, detail, token_id,
       key_id, chain_sequence, previous_hash, hash
  FROM trading.control_chain AS link
  JOIN trading.control_event AS event USING (event_id)
 WHERE link.account = %(account)s
   AND chain_sequence > %(after)s
 ORDER BY chain_sequence
 LIMIT %(limit)s;

-- order_span --
-- The first and the last link of a period.
SELECT min(chain_sequence) AS first, max(chain_sequence) AS last
  FROM trading.order_event
 WHERE account = %(account)s
   AND at >= %(since)s
   AND at < %(until)s;

-- control_span --
-- Likewise.
SELECT min(chain_sequence) AS first, max(chain_sequence) AS last
  FROM trading.control_chain AS link
  JOIN trading.control_event AS event USING (event_id)
 WHERE link.account = %(account)s
   AND event.at >= %(since)s
   AND event.at < %(until)s;

-- writer_rights --
-- Each append-only table: whether this user could rewrite it, and whether the trigger that refuses it is in force.
SELECT current_user AS writer,
       table_name,
       has_table_privilege('trading.' || table_name, 'UPDATE')
         OR has_table_privilege('trading.' || table_name, 'DELETE')
         OR has_table_privilege('trading.' || table_name, 'TRUNCATE')
         OR has_any_column_privilege('trading.' || table_name, 'UPDATE') AS may_rewrite,
       EXISTS (
         SELECT
           FROM pg_trigger
          WHERE tgrelid = ('trading.' || table_name)::regclass
            AND tgfoid = 'trading.refuse_change'::regproc
            AND tgenabled IN ('O', 'A')
       ) AS is_guarded
  FROM unnest(ARRAY[
         'acknowledgement', 'cancel_request', 'candle_revision', 'control_chain', 'control_event', 'decision', 'decision_revision',
         'fill', 'ledger_entry', 'ledger_transaction', 'order_check', 'order_event', 'order_intent', 'order_state',
         'order_transition', 'plan_line', 'replayed_decision', 'run_attempt', 'venue_conformance'
       ]) AS table_name
 ORDER BY table_name;

-- assume_role --
-- Act as this role from here on, where this database was set up for it and the user may.
SELECT set_config('role', rolname, false)
  FROM pg_roles
 WHERE rolname = %(role)s
   AND pg_has_role(
         current_user, oid, CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END
       )
   AND has_schema_privilege(oid, to_regnamespace('trading')::oid, 'USAGE');
