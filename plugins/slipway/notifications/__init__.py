"""One message about a release, three channels. Importing this imports nothing else: DAG files stay quick to parse."""
