"""What Airflow's FAB auth manager reads: users and passwords are in Airflow's own tables, nobody signs up alone.

LDAP or OAuth go here: https://airflow.apache.org/docs/apache-airflow-providers-fab/stable/auth-manager/webserver-authentication.html
"""

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
AUTH_USER_REGISTRATION = False
WTF_CSRF_ENABLED = True
#: Ten wrong passwords a minute, then 429. Counted by the one process that serves the UI.
RATELIMIT_ENABLED = True
AUTH_RATE_LIMITED = True
AUTH_RATE_LIMIT = "10 per minute"
