from datetime import date, timedelta

from shotspotter_assets.quality.pictures import PICTURED_DAYS, SHOWN_DAYS, city_picture, day_pictures
from shotspotter_assets_tests.quality.sound_city import CITY, city_of, sound


def test_only_the_last_days_get_a_picture() -> None:
    city = city_of(sound(2.0))
    pictures = day_pictures(city.alerts, city.days[:60], CITY)
    assert list(pictures) == city.days[60 - PICTURED_DAYS : 60]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    assert len(set(pictures.values())) == PICTURED_DAYS


def test_a_city_is_shown_on_its_own_dates_with_the_days_that_checks_name() -> None:
    days = [date(2024, 1, 1) + timedelta(days=number) for number in range(SHOWN_DAYS + 40)]
    counts = {day: float(number % 7) for number, day in enumerate(days)}
    plain = city_picture(counts, {})
    assert plain.startswith(b"\x89PNG")
    assert plain == city_picture({day: counts[day] for day in days[40:]}, {"clock": days[:5]}), (
        "older days are left out"
    )
    assert plain != city_picture(counts | {days[-1]: float("nan")}, {})
    assert plain != city_picture(counts, {"clock": days[-2:-1]})
