"""The calendar and the clock of a city: what is known of a day or an hour before anything has happened on it.

Here belong local days and hours with daylight saving, weekdays, the year, public holidays and firework days. What
alerts tell, and which days have data, does not.
"""
