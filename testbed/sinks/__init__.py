"""Chat and mail servers that stand in for DingTalk, Slack and SMTP, and keep what arrives."""
