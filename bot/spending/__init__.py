"""What calls to Claude cost (`prices`), and the day's money for them (`budget`)."""
